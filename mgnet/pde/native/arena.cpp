#include "arena.h"

#include <cstdint>
#include <cstdlib>
#include <new>

namespace mgnet {

namespace {
constexpr std::size_t LINE = 64;
}

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

void* Arena::bytes(std::size_t count) {
    // calloc: large blocks come as zero pages that cost nothing until they are used
    auto* block = static_cast<Block*>(std::calloc(1, sizeof(Block) + count + 3 * LINE));
    if (!block) throw std::bad_alloc();
    block->before = last_;
    last_ = block;
    const auto begin = reinterpret_cast<std::uintptr_t>(block + 1);
    return reinterpret_cast<void*>((begin + LINE - 1) / LINE * LINE);
}

}  // namespace mgnet
