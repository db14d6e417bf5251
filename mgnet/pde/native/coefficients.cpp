#include "coefficients.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "parts.h"

namespace mgnet {
namespace {

constexpr long WORK = 16;  // of an i, in numbers that are read

// what(i, its number) for all i below n; whether all are good
template <class Do>
bool everywhere(const long n[3], int threads, const Do& what) {
    std::atomic<bool> good{true};
    in_parts(n[0] * n[1], WORK * n[2], threads, [&](long begin, long end, long) {
        bool all = true;
        long i[3] = {begin / n[1], begin % n[1], 0}, number = begin * n[2];
        for (long row = begin; row < end; row++) {
            for (i[2] = 0; i[2] < n[2]; i[2]++) all &= what(i, number++);
            if (++i[1] == n[1]) i[0]++, i[1] = 0;
        }
        if (!all) good = false;
    });
    return good;
}

// the unknown below (0) or above (1) a face, an end's own on both sides
inline long beside(long face, int side, long n, bool wraps) {
    const long i = face - 1 + side;
    return wraps ? (i + n) % n : std::min(std::max(i, 0L), n - 1);
}

template <class T>
T harmonic(T a, T b) {
    return a * (2 * b / (a + b));
}

}  // namespace

template <class T>
bool flows(const Spread<T>& k, const Spread<T>& v, const Flow& flow, T* back, T* forth, int threads) {
    const int d = flow.axis;
    const long n = flow.faces[d] - 1;
    const T h = static_cast<T>(flow.h);
    return everywhere(flow.faces, threads, [&](long i[3], long number) {
        const long face = i[d], side = face == 0 ? 0 : face == n ? 1 : 2;
        T at = flow.at_unknowns ? T(0) : v(i);
        if (flow.at_unknowns) {
            T both[2];
            for (int s = 0; s < 2; s++) i[d] = beside(face, s, n, flow.wraps), both[s] = v(i);
            i[d] = face, at = (both[0] + both[1]) / 2;
        }
        const bool end = side < 2 && !flow.wraps;
        const T q = at / h, through = static_cast<T>(end ? flow.through[side] : 1.0);
        const T near = static_cast<T>(end ? flow.near[side] : 0.5), own = k(i);
        const T below = flow.upwind ? std::max(q, T(0)) : (1 - near) * q, above = flow.upwind ? std::max(-q, T(0)) : -near * q;
        back[number] = own + below * through, forth[number] = own + above * through;
        return std::isfinite(at);
    });
}

template <class T>
bool corners(const std::vector<Spread<T>>& a, const Corners& of, const std::vector<T*>& s, int threads) {
    const int dims = of.dims;
    auto entry = [&](int d, int e) -> const Spread<T>& { return a[d * dims - d * (d - 1) / 2 + e - d]; };
    const bool good = everywhere(of.n, threads, [&](const long i[3], long) {
        T squares = 0, product = 2;
        bool definite = true;
        for (int d = 0; d < dims; d++)
            for (int e = d + 1; e < dims; e++) {
                const T rho = entry(d, e)(i) / (std::sqrt(entry(d, d)(i)) * std::sqrt(entry(e, e)(i)));
                squares += rho * rho, product *= rho;
                definite &= rho * rho < 1;
            }
        return definite && (dims < 3 || 1 + product - squares > 0);
    });
    if (!good) return false;
    std::size_t pair = 0;
    for (int d = 0; d < dims; d++)
        for (int e = d + 1; e < dims; e++, pair++) {
            T* to = s[pair];
            long faces[3] = {of.n[0], of.n[1], of.n[2]};
            faces[d]++, faces[e]++;
            const T h = static_cast<T>(2 * of.h[d] * of.h[e]);
            everywhere(faces, threads, [&](long i[3], long number) {
                const long f = i[d], g = i[e];
                T dd[2][2], de[2][2], ee[2][2];
                for (int p = 0; p < 2; p++)
                    for (int q = 0; q < 2; q++) {
                        i[d] = beside(f, p, of.n[d], of.wraps[d]), i[e] = beside(g, q, of.n[e], of.wraps[e]);
                        dd[p][q] = entry(d, d)(i), de[p][q] = entry(d, e)(i), ee[p][q] = entry(e, e)(i);
                    }
                i[d] = f, i[e] = g;
                auto mean = [](const T v[2][2]) { return ((v[0][0] + v[1][0]) / 2 + (v[0][1] + v[1][1]) / 2) / 2; };
                const T rho = mean(de) / (std::sqrt(mean(dd)) * std::sqrt(mean(ee)));
                const T means[2] = {harmonic(harmonic(dd[0][0], dd[1][0]), harmonic(dd[0][1], dd[1][1])),
                                    harmonic(harmonic(ee[0][0], ee[0][1]), harmonic(ee[1][0], ee[1][1]))};
                T v = rho * std::sqrt(means[0]) * std::sqrt(means[1]) / h;
                for (int axis : {d, e})
                    if (!of.wraps[axis] && (i[axis] == 0 || i[axis] == of.n[axis]))
                        v *= static_cast<T>(of.held[axis][i[axis] == 0 ? 0 : 1]);
                to[number] = v;
                return true;
            });
        }
    return true;
}

template bool flows(const Spread<float>&, const Spread<float>&, const Flow&, float*, float*, int);
template bool flows(const Spread<double>&, const Spread<double>&, const Flow&, double*, double*, int);
template bool corners(const std::vector<Spread<float>>&, const Corners&, const std::vector<float*>&, int);
template bool corners(const std::vector<Spread<double>>&, const Corners&, const std::vector<double*>&, int);

}  // namespace mgnet
