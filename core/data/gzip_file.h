// A file read from front to back, decompressed if it is gzip. Every failure is an IoError that
// names the file and the byte.
#pragma once

#include <cstdint>
#include <string>

#include <tinytorch/error.h>

namespace tinytorch {

class GzipFile {
 public:
  explicit GzipFile(const std::string& path);
  ~GzipFile();
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

  // Reads up to `count` bytes; fewer only at the end of the file.
  size_t read_some(void* to, size_t count);
  // Reads exactly `count` bytes of `what`.
  void read(void* to, size_t count, const char* what);
  uint64_t position() const { return position_; }  // bytes read so far, after decompression
  // Upper bound of what the file can hold, so that a lying header costs no memory.
  uint64_t most_bytes() const { return most_bytes_; }
  [[noreturn]] void fail(uint64_t at, const std::string& why) const;

 private:
  std::string path_;
  void* file_ = nullptr;  // gzFile
  uint64_t position_ = 0, most_bytes_ = 0;
};

}  // namespace tinytorch
