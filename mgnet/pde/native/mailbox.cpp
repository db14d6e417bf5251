#include "mailbox.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <new>
#include <thread>

#include "relax.h"

namespace mgnet {
namespace {

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free, "processes share counters");

constexpr long LOOKS = 2000;                                // before others may run
constexpr std::chrono::microseconds PATIENCE(1000), NAP(50);  // after which it sleeps between looks, so long

// A box: how many pieces are written, how many each reader has read, each counter on a line of its own, and the pieces.
Counter& written(char* box) { return *reinterpret_cast<Counter*>(box); }
Counter& read(char* box, int reader) { return *reinterpret_cast<Counter*>(box + (1 + reader) * Mailboxes::LINE); }

}  // namespace

std::size_t Mailboxes::size(int count) {
    const std::size_t counters = (2 * EVERYONE + 1 + count) * LINE;
    return count * (counters + KINDS * SLOTS * PIECE);
}

char* Mailboxes::box(int from, Whom whom) const {
    return memory_ + from * (size(count_) / count_) + whom * (2 * LINE + SLOTS * PIECE);
}

void Mailboxes::exchange(std::vector<Message> messages, double patience, const std::function<void(int)>& waiting) const {
    using Clock = std::chrono::steady_clock;
    Clock::time_point moved = Clock::now(), told = moved;
    for (long looks = 0;; looks++) {
        bool any = false;
        const Message* rest = nullptr;
        for (Message& m : messages) {
            if (m.done < m.bytes && move(m)) any = true;
            if (m.done < m.bytes) rest = &m;
        }
        if (!rest) return;
        if (any) {
            looks = 0, moved = told = Clock::now();
            continue;
        }
        relax();
        if (looks % LOOKS < LOOKS - 1) continue;
        const Clock::time_point now = Clock::now();
        if (now - told > std::chrono::duration<double>(patience)) told = now, waiting(awaited(*rest));
        if (now - moved > PATIENCE)
            std::this_thread::sleep_for(NAP);
        else
            std::this_thread::yield();
    }
}

bool Mailboxes::move(Message& m) const {
    char* b = box(m.from, m.whom);
    char* pieces = b + (1 + readers(m.whom)) * LINE;
    const std::size_t bytes = std::min(PIECE, m.bytes - m.done);
    if (m.in) {
        Counter& mine = read(b, m.whom == EVERYONE ? rank_ : 0);
        const std::uint64_t piece = mine.load(std::memory_order_relaxed);
        if (written(b).load(std::memory_order_acquire) == piece) return false;
        std::memcpy(m.in + m.done, pieces + piece % SLOTS * PIECE, bytes);
        mine.store(piece + 1, std::memory_order_release);
    } else {
        if (awaited(m) >= 0) return false;
        const std::uint64_t piece = written(b).load(std::memory_order_relaxed);
        std::memcpy(pieces + piece % SLOTS * PIECE, m.out + m.done, bytes);
        written(b).store(piece + 1, std::memory_order_release);
    }
    m.done += bytes;
    return true;
}

int Mailboxes::awaited(const Message& m) const {
    if (m.in) return m.from;
    char* b = box(m.from, m.whom);
    const std::uint64_t piece = written(b).load(std::memory_order_relaxed);
    for (int reader = 0; reader < readers(m.whom); reader++) {
        const bool itself = m.whom == EVERYONE && reader == rank_;
        if (itself || read(b, reader).load(std::memory_order_acquire) + SLOTS > piece) continue;
        return m.whom == EVERYONE ? reader : m.to;
    }
    return -1;
}

}  // namespace mgnet
