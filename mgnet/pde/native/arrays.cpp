#include "arrays.h"

#include <algorithm>
#include <vector>

#include "loops.h"
#include "parts.h"
#include "rows.h"

namespace mgnet {
namespace {

struct Here {};
constexpr long SHORT = 1024;

// body(begin, count) for stretches of (batch, n), each of one member
template <class Body>
void in_stretches(long batch, long n, int threads, const Body& body) {
    in_parts(batch * n, 1, threads, [&](long begin, long end, long) {
        for (long count; begin < end; begin += count) count = std::min(end - begin, n - begin % n), body(begin, count);
    });
}

// -(a - b) (c - d); a row that is not there is 0
template <class X>
void product_of_differences(typename X::T* out, const typename X::T* a, const typename X::T* b, const typename X::T* c,
                            const typename X::T* d, long n) {
    each<X>(out, n, [&](auto row) {
        const typename X::V none = {};
        return ((b ? row(b) : none) - (a ? row(a) : none)) * ((c ? row(c) : none) - (d ? row(d) : none));
    });
}

// one row whose faces lie along it
template <class X>
void along(typename X::T* out, const typename X::T* v, const typename X::T* u, long n, bool wraps) {
    const auto low = wraps ? u[n - 1] : 0, high = wraps ? u[0] : 0;
    out[0] = -v[0] * (u[0] - low), out[n] = v[n - 1] * (high - u[n - 1]);
    product_of_differences<X>(out + 1, v + 1, v, u + 1, u, n - 1);
}

// the faces j between two rows of (n, post)
template <class X>
void across(typename X::T* out, const typename X::T* v, const typename X::T* u, long j, long n, long post, bool wraps) {
    auto row = [&](const typename X::T* x, long i, bool around) {
        return i >= 0 && i < n ? x + i * post : around ? x + (i + n) % n * post : nullptr;
    };
    product_of_differences<X>(out, row(v, j, false), row(v, j - 1, false), row(u, j, wraps), row(u, j - 1, wraps), post);
}

}  // namespace

template <class T>
void WholeArrays<T>::product(const T* v, const T* w, T* out, long batch, long n, int threads) {
    using X = Vectors<T, 16, Here>;
    in_stretches(batch, n, threads, [&](long begin, long count) {
        each<X>(out + begin, count, [&](auto row) { return row(v + begin) * row(w + begin % n); });
    });
}

template <class T>
void WholeArrays<T>::shift(T* v, const double* by, long batch, long n, int threads) {
    using X = Vectors<T, 16, Here>;
    in_stretches(batch, n, threads, [&](long begin, long count) {
        const auto more = X::splat(static_cast<T>(by[begin / n]));
        each<X>(v + begin, count, [&](auto row) { return row(v + begin) + more; });
    });
}

template <class T>
void WholeArrays<T>::weighted_sums(const T* v, const T* const w[3], const long n[3], long batch, double* sums, int threads) {
    using R = Rows<Vectors<T, 16, Here>>;
    const long rows = n[0] * n[1];
    for (long b = 0; b < batch; b++) {
        std::vector<double> each(2 * rows);
        in_parts(rows, n[2], threads, [&](long begin, long end, long) {
            for (long r = begin; r < end; r++) {
                const T* row = v + (b * rows + r) * n[2];
                each[2 * r] = double(w[0][r / n[1]]) * w[1][r % n[1]] * R::dot(row, w[2], n[2]);
                each[2 * r + 1] = R::absolute(row, n[2]);
            }
        });
        sums[2 * b] = sums[2 * b + 1] = 0;
        for (long r = 0; r < 2 * rows; r++) sums[2 * b + r % 2] += each[r];
    }
}

template <class T>
void WholeArrays<T>::difference_products(const T* v, const T* u, T* out, long pre, long n, long post, bool wraps, int threads) {
    using X = Vectors<T, 16, Here>;
    const long faces = post == 1 ? 1 : n + 1, size = post == 1 ? n + 1 : post;
    in_parts(pre * faces, size, threads, [&](long begin, long end, long) {
        for (long r = begin; r < end; r++) {
            const long p = r / faces, at = p * n * post;
            if (post == 1)
                along<X>(out + r * size, v + at, u + at, n, wraps);
            else
                across<X>(out + r * size, v + at, u + at, r % faces, n, post, wraps);
        }
    });
}

template <class T>
void WholeArrays<T>::changes(const T* u, const T* v, long batch, long n, double* squares, int threads) {
    using X = Vectors<T, 16, Here>;
    for (long b = 0; b < batch; b++) {
        std::vector<double> each(2 * parts_of(n, 1));
        in_parts(n, 1, threads, [&](long begin, long end, long part) {
            double moved = 0, size = 0;
            for (long i = begin; i < end; i += SHORT) {  // so that sums of T stay short
                const T *to = u + b * n + i, *from = v + b * n + i;
                const long count = std::min(SHORT, end - i);
                moved += sum<X>(count, [&](auto row) { return (row(to) - row(from)) * (row(to) - row(from)); });
                size += sum<X>(count, [&](auto row) { return row(to) * row(to); });
            }
            each[2 * part] = moved, each[2 * part + 1] = size;
        });
        squares[2 * b] = squares[2 * b + 1] = 0;
        for (std::size_t k = 0; k < each.size(); k++) squares[2 * b + k % 2] += each[k];
    }
}

template struct WholeArrays<float>;
template struct WholeArrays<double>;

}  // namespace mgnet
