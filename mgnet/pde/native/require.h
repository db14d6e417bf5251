// What callers must hold to, and what they are told where they do not.
#pragma once
#include <stdexcept>
#include <string>

namespace mgnet {

constexpr long MOST_NUMBERS = 1L << 40;  // of an array: far beyond any memory, and no product overflows

inline void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}
inline void require(bool holds, const std::string& what) { require(holds, what.c_str()); }

}  // namespace mgnet
