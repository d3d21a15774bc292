// Memory from the system, aligned for kernels. Blocks of 2 MB and more lie on huge page boundaries
// and ask for huge pages: large products gain from it, and first touch is several times faster.
#pragma once

#include <cstddef>

// With this macro nothing is cached, so that a sanitizer sees every access to a freed block and
// past the end of one.
#if !defined(TT_PLAIN_ALLOC)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TT_PLAIN_ALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define TT_PLAIN_ALLOC 1
#endif
#endif
#endif

namespace tinytorch {

#ifdef TT_PLAIN_ALLOC
inline constexpr bool kPlainAlloc = true;
#else
inline constexpr bool kPlainAlloc = false;
#endif

// Null when there is none. `bytes` is a multiple of 64, from 2 MB of 64 KB; free needs the same
// number again.
void* take_host_memory(size_t bytes, size_t alignment = 64) noexcept;
void give_host_memory(void* data, size_t bytes) noexcept;

}  // namespace tinytorch
