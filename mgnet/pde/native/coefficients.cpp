#include "coefficients.h"

#include <algorithm>
#include <cmath>

namespace mgnet {
namespace {

// for all i below n
template <class Do>
void everywhere(const long n[3], const Do& what) {
    long i[3];
    for (i[0] = 0; i[0] < n[0]; i[0]++)
        for (i[1] = 0; i[1] < n[1]; i[1]++)
            for (i[2] = 0; i[2] < n[2]; i[2]++) what(i);
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
bool flows(const Spread<T>& k, const Spread<T>& v, const Flow& flow, T* back, T* forth) {
    const int d = flow.axis;
    const long n = flow.faces[d] - 1;
    const T h = static_cast<T>(flow.h);
    bool good = true;
    everywhere(flow.faces, [&](long i[3]) {
        const long face = i[d], side = face == 0 ? 0 : face == n ? 1 : 2;
        T at = flow.at_unknowns ? T(0) : v(i);
        if (flow.at_unknowns) {
            T both[2];
            for (int s = 0; s < 2; s++) i[d] = beside(face, s, n, flow.wraps), both[s] = v(i);
            i[d] = face, at = (both[0] + both[1]) / 2;
        }
        good &= std::isfinite(at);
        const bool end = side < 2 && !flow.wraps;
        const T q = at / h, through = static_cast<T>(end ? flow.through[side] : 1.0);
        const T near = static_cast<T>(end ? flow.near[side] : 0.5), own = k(i);
        const T below = flow.upwind ? std::max(q, T(0)) : (1 - near) * q, above = flow.upwind ? std::max(-q, T(0)) : -near * q;
        *back++ = own + below * through, *forth++ = own + above * through;
    });
    return good;
}

template <class T>
bool corners(const std::vector<Spread<T>>& a, const Corners& of, const std::vector<T*>& s) {
    const int dims = of.dims;
    auto entry = [&](int d, int e) -> const Spread<T>& { return a[d * dims - d * (d - 1) / 2 + e - d]; };
    bool good = true;
    everywhere(of.n, [&](const long i[3]) {
        T squares = 0, product = 2;
        for (int d = 0; d < dims; d++)
            for (int e = d + 1; e < dims; e++) {
                const T rho = entry(d, e)(i) / (std::sqrt(entry(d, d)(i)) * std::sqrt(entry(e, e)(i)));
                squares += rho * rho, product *= rho;
                good &= rho * rho < 1;
            }
        good &= dims < 3 || 1 + product - squares > 0;
    });
    std::size_t pair = 0;
    for (int d = 0; d < dims; d++)
        for (int e = d + 1; e < dims; e++, pair++) {
            T* to = s[pair];
            long faces[3] = {of.n[0], of.n[1], of.n[2]};
            faces[d]++, faces[e]++;
            const T h = static_cast<T>(2 * of.h[d] * of.h[e]);
            everywhere(faces, [&](long i[3]) {
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
                *to++ = v;
            });
        }
    return good;
}

template bool flows(const Spread<float>&, const Spread<float>&, const Flow&, float*, float*);
template bool flows(const Spread<double>&, const Spread<double>&, const Flow&, double*, double*);
template bool corners(const std::vector<Spread<float>>&, const Corners&, const std::vector<float*>&);
template bool corners(const std::vector<Spread<double>>&, const Corners&, const std::vector<double*>&);

}  // namespace mgnet
