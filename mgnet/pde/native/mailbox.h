// Messages between processes of one machine, through memory that all of them have mapped.
//
// Each process writes seven boxes: along each of three axes one that its neighbour before reads and one that the neighbour
// after reads, and one that all read. A box holds SLOTS pieces of a message; what is longer goes piece by piece, so that no message is too long.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace mgnet {

// The neighbour before along axis d is 2 d, the one after 2 d + 1.
enum Whom { EVERYONE = 6, KINDS };

// What this process sends to `whom`, or what it receives of what `from` sends to `whom`, which is process `to`.
struct Message {
    int from, to;
    Whom whom;
    const char* out;  // one of these is null
    char* in;
    std::size_t bytes, done = 0;
};

class Mailboxes {
  public:
    static constexpr std::size_t LINE = 64, SLOTS = 8, PIECE = 1 << 15;  // bytes of a cache line; pieces, and their bytes

    // Bytes that so many processes need.
    static std::size_t size(int count);

    // memory: zeros at first, from a multiple of LINE on; rank: of this process among count
    Mailboxes(char* memory, int rank, int count) : memory_(memory), rank_(rank), count_(count) {}

    // All of them, one of a kind at a time. Where nothing has moved for so many seconds, `waiting` is told for whom; it
    // may throw.
    void exchange(std::vector<Message> messages, double patience, const std::function<void(int)>& waiting) const;

  private:
    char* box(int from, Whom whom) const;
    int readers(Whom whom) const { return whom == EVERYONE ? count_ : 1; }
    bool move(Message& m) const;          // a piece, if it can
    int awaited(const Message& m) const;  // whom it waits for; -1: nobody

    char* const memory_;
    const int rank_, count_;
};

}  // namespace mgnet
