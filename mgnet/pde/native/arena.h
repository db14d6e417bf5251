// Memory that is taken once, aligned and zero, and given back all at once.
#pragma once
#include <cstddef>

namespace mgnet {

class Arena {
  public:
    Arena() = default;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena();

    // `count` numbers, zero; whole cache lines, and not a page apart from those taken before
    template <class T>
    T* take(std::size_t count) {
        return static_cast<T*>(bytes(count * sizeof(T)));
    }

    // Take what comes from one block of so many bytes, as long as it fits: large blocks come in few, huge pages.
    void reserve(std::size_t size);

  private:
    struct Block;
    struct Kept;
    void* bytes(std::size_t count);
    char* block(std::size_t size);
    Block* last_ = nullptr;
    char *next_ = nullptr, *end_ = nullptr;  // of what is reserved
};

}  // namespace mgnet
