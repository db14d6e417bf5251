#include "components.h"

namespace mgnet {
namespace {

// A forest: every unknown names an earlier one of its component, the first one itself.
struct Forest {
    std::int64_t* earlier;

    std::int64_t first(std::int64_t i) const {
        while (earlier[i] != i) i = earlier[i] = earlier[earlier[i]];
        return i;
    }
    void join(std::int64_t i, std::int64_t j) const {
        i = first(i), j = first(j);
        (i < j ? earlier[j] : earlier[i]) = i < j ? i : j;
    }
};

}  // namespace

void components(const bool* inside, const bool* const opens[3], const bool wraps[3], long members, const long n[3],
                std::int64_t* label) {
    const Forest forest{label};
    const long stride[3] = {n[1] * n[2], n[2], 1}, size = members * n[0] * stride[0];
    for (long row = 0; row < size; row += n[2]) {
        long at[3] = {row / stride[0] % n[0], row / stride[1] % n[1], 0};
        for (long i = row; i < row + n[2]; i++, at[2]++) {
            label[i] = inside[i] ? i : -1;
            for (int d = 0; inside[i] && d < 3; d++) {
                auto join = [&](long j, long face) {
                    const long of_axis = i / (stride[d] * n[d]) * (n[d] + 1) + face;
                    if (inside[j] && (!opens[d] || opens[d][of_axis * stride[d] + i % stride[d]])) forest.join(i, j);
                };
                if (at[d] > 0) join(i - stride[d], at[d]);
                if (wraps[d] && at[d] == n[d] - 1) join(i - at[d] * stride[d], n[d]);
            }
        }
    }
    for (long i = 0; i < size; i++)
        if (label[i] >= 0) label[i] = label[label[i]];  // an earlier one, which knows the first one already
}

}  // namespace mgnet
