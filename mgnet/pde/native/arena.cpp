#include "arena.h"

#include <cstdint>
#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace mgnet {

namespace {

constexpr std::size_t LINE = 64;
constexpr std::size_t HUGE_PAGE = 1 << 21;

// Large blocks in huge pages: their first use is faster than in thousands of small ones.
void prefer_huge_pages(void* block, std::size_t size) {
#ifdef __linux__
    const auto begin = (reinterpret_cast<std::uintptr_t>(block) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    const auto end = (reinterpret_cast<std::uintptr_t>(block) + size) / HUGE_PAGE * HUGE_PAGE;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)block, (void)size;
#endif
}

}  // namespace

struct Arena::Block {
    Block* before;
};

Arena::~Arena() {
    while (last_) {
        Block* before = last_->before;
        std::free(last_);
        last_ = before;
    }
}

void Arena::reserve(std::size_t size) { next_ = block(size), end_ = next_ + size; }

void* Arena::bytes(std::size_t count) {
    const std::size_t size = (count + 3 * LINE) / LINE * LINE;  // two lines apart at least
    if (size > static_cast<std::size_t>(end_ - next_)) return block(size);
    char* begin = next_;
    next_ += size;
    return begin;
}

// Whole cache lines, zero.
char* Arena::block(std::size_t size) {
    // calloc: large blocks come as zero pages that cost nothing until they are used
    size += sizeof(Block) + LINE;
    auto* block = static_cast<Block*>(std::calloc(1, size));
    if (!block) throw std::bad_alloc();
    prefer_huge_pages(block, size);
    block->before = last_;
    last_ = block;
    const auto begin = reinterpret_cast<std::uintptr_t>(block + 1);
    return reinterpret_cast<char*>((begin + LINE - 1) / LINE * LINE);
}

}  // namespace mgnet
