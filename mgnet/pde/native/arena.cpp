#include "arena.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
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

constexpr std::size_t SMALL = 1 << 14, LARGE = 1 << 22;  // bytes of blocks that are kept
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t ROOM = 0;  // none: use of what was given back is to show
#else
constexpr std::size_t ROOM = 1 << 24;  // bytes of all of them
#endif

}  // namespace

struct Arena::Block {
    Block* before;
    std::size_t size;
};

// Blocks that were given back, oldest first, for the next who asks: fresh memory costs a page fault per page, which is
// a fifth of the set-up of a small problem. Who finds another at it, or is the child of a process where one was, goes
// without.
struct Arena::Kept {
    static Block* take(std::size_t size) {
        Kept& kept = one();
        std::unique_lock<std::mutex> alone(kept.lock_, std::try_to_lock);
        if (!alone) return nullptr;
        for (auto at = kept.blocks_.rbegin(); at != kept.blocks_.rend(); ++at)
            if ((*at)->size >= size && (*at)->size <= 2 * size) {
                Block* block = *at;
                kept.size_ -= block->size, kept.blocks_.erase(std::next(at).base());
                return block;
            }
        return nullptr;
    }
    static void give(Block* block) {
        Kept& kept = one();
        std::unique_lock<std::mutex> alone(kept.lock_, std::try_to_lock);
        if (!alone || block->size < SMALL || block->size > LARGE) return std::free(block);
        kept.blocks_.push_back(block), kept.size_ += block->size;
        while (kept.size_ > ROOM) {
            kept.size_ -= kept.blocks_.front()->size;
            std::free(kept.blocks_.front()), kept.blocks_.pop_front();
        }
    }

  private:
    static Kept& one() {
        static Kept* kept = new Kept;  // for good: arenas may outlive what is destroyed at the end
        return *kept;
    }
    std::mutex lock_;
    std::deque<Block*> blocks_;
    std::size_t size_ = 0;
};

Arena::~Arena() {
    while (last_) {
        Block* before = last_->before;
        Kept::give(last_);
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
    Block* block = Kept::take(size);
    if (block) {
        std::memset(block + 1, 0, size - sizeof(Block));
    } else {
        block = static_cast<Block*>(std::calloc(1, size));
        if (!block) throw std::bad_alloc();
        prefer_huge_pages(block, size);
        block->size = size;
    }
    block->before = last_;
    last_ = block;
    const auto begin = reinterpret_cast<std::uintptr_t>(block + 1);
    return reinterpret_cast<char*>((begin + LINE - 1) / LINE * LINE);
}

}  // namespace mgnet
