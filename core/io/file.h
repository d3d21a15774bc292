// Files with errors that name file and byte: one read as a whole from front to back, one written
// whole or not at all.
#pragma once

#include <cstdint>
#include <string>

#include <tinytorch/error.h>

namespace tinytorch {

class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return size_; }
  // Reads exactly `count` bytes.
  void read(void* to, uint64_t count);
  [[noreturn]] void fail(uint64_t at, const std::string& why) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0, position_ = 0;
};

// Writes beside `path` and renames in commit(), after the bytes have reached the disk. Without
// commit() nothing stays behind.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* from, uint64_t count);
  void commit();

 private:
  [[noreturn]] void fail(const std::string& what, int error) const;

  std::string path_, temporary_;
  int descriptor_ = -1;
  uint64_t position_ = 0;
};

}  // namespace tinytorch
