// Vectors of numbers by the compilers' own extensions: no intrinsics, one source for every instruction set.
#pragma once
#include <cstdint>
#include <type_traits>
#include <utility>

namespace mgnet {

static inline long most(long a, long b) { return a > b ? a : b; }
static inline long least(long a, long b) { return a < b ? a : b; }

// T numbers, as many as fill `Bytes`. `Machine` names the instruction set: it keeps what is compiled for one set
// apart from what is compiled for another, down to the linker's names.
template <class Number, int Bytes, class Machine>
struct Vectors {
    using T = Number;
    static constexpr int W = Bytes / sizeof(T);
    using Integer = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
    typedef T V __attribute__((vector_size(Bytes)));
    typedef Integer M __attribute__((vector_size(Bytes)));
    typedef T Unaligned __attribute__((vector_size(Bytes), aligned(sizeof(T)), may_alias));

    static inline V load(const T* p) { return *reinterpret_cast<const Unaligned*>(p); }
    static inline void store(T* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
    static inline V splat(T x) { return x - V{}; }

    // the first `count` of p's numbers, which all are there, then zeros; nothing else at or beyond `limit` is read
    static inline V load_some(const T* p, long count, const T* limit) {
        if (limit - p >= W) return first(load(p), count);
        V v = {};
        for (long k = 0; k < count && k < W; k++) v[k] = p[k];
        return v;
    }
    // p's numbers that lie before `limit`, then zeros
    static inline V load_below(const T* p, const T* limit) {
        return limit - p >= W ? load(p) : load_some(p, limit - p, limit);
    }
    static inline void store_some(T* p, V v, long count) {
        for (long k = 0; k < count && k < W; k++) p[k] = v[k];
    }
    // the first `count` numbers, all of them where there are as many
    static inline void put(T* p, V v, long count) { count >= W ? store(p, v) : store_some(p, v, count); }
    static inline M below(long count) { return numbered(Lanes{}) < M{} + static_cast<Integer>(count < W ? count : W); }
    static inline M lane(long k) { return numbered(Lanes{}) == M{} + static_cast<Integer>(k >= 0 && k < W ? k : -1); }
    static inline V first(V v, long count) { return reinterpret_cast<V>(reinterpret_cast<M>(v) & below(count)); }
    // what of v is among the `left` last numbers of a row, then zeros
    static inline V within(V v, long left) { return left < W ? first(v, left) : v; }
    static inline V where(M mask, V yes, V no) {
        return reinterpret_cast<V>((reinterpret_cast<M>(yes) & mask) | (reinterpret_cast<M>(no) & ~mask));
    }
    static inline T sum(V v) {
        T total = 0;
        for (int k = 0; k < W; k++) total += v[k];
        return total;
    }

    // a's last, then b without its last; b without its first, then c's first
    static inline V before(V a, V b) { return shifted<W - 1>(a, b, Lanes{}); }
    static inline V after(V b, V c) { return shifted<1>(b, c, Lanes{}); }
    // every second number of (a, b)
    static inline V evens(V a, V b) { return strided<0>(a, b, Lanes{}); }
    static inline V odds(V a, V b) { return strided<1>(a, b, Lanes{}); }
    // a0 b0 a1 b1 ...: the first and the second half
    static inline V merge_low(V a, V b) { return merged<0>(a, b, Lanes{}); }
    static inline V merge_high(V a, V b) { return merged<W / 2>(a, b, Lanes{}); }

  private:
    using Lanes = std::make_integer_sequence<int, W>;
    template <int... I>
    static inline M numbered(std::integer_sequence<int, I...>) {
        return M{I...};
    }
    template <int... I>
    static inline V pick(V a, V b) {
#if defined(__clang__) || __GNUC__ >= 12
        return __builtin_shufflevector(a, b, I...);
#else
        return __builtin_shuffle(a, b, M{I...});
#endif
    }
    template <int From, int... I>
    static inline V shifted(V a, V b, std::integer_sequence<int, I...>) {
        return pick<(I + From)...>(a, b);
    }
    template <int From, int... I>
    static inline V strided(V a, V b, std::integer_sequence<int, I...>) {
        return pick<(2 * I + From)...>(a, b);
    }
    template <int From, int... I>
    static inline V merged(V a, V b, std::integer_sequence<int, I...>) {
        return pick<(From + I / 2 + (I % 2) * W)...>(a, b);
    }
};

// X's numbers as doubles: as many as fill a vector of these.
template <class X>
struct Wide;

template <class T, int Bytes, class Machine>
struct Wide<Vectors<T, Bytes, Machine>> {
    using D = Vectors<double, Bytes, Machine>;
    using V = typename D::V;
    static constexpr long W = D::W;
    template <class N>
    using Narrow = Vectors<N, W * sizeof(N), Machine>;

    template <class N>
    static V widened(typename Narrow<N>::V v) {
        if constexpr (sizeof(N) == 8)
            return v;
        else
            return __builtin_convertvector(v, V);
    }
    template <class N>
    static typename Narrow<N>::V narrowed(V v) {
        if constexpr (sizeof(N) == 8)
            return v;
        else
            return __builtin_convertvector(v, typename Narrow<N>::V);
    }
    template <class N>
    static V load(const N* p) {
        return widened<N>(Narrow<N>::load(p));
    }
    template <class N>
    static V load(const N* p, long count, const N* limit) {
        return widened<N>(count >= W ? Narrow<N>::load(p) : Narrow<N>::load_some(p, count, limit));
    }
    template <class N>
    static void store(N* p, V v, long count) {
        if (count >= W)
            Narrow<N>::store(p, narrowed<N>(v));
        else
            Narrow<N>::store_some(p, narrowed<N>(v), count);
    }
};

}  // namespace mgnet
