// A folder for the files of a part, removed at the end, and a writer of IDX files.
#pragma once

#include <tinytorch/tensor.h>

#include <filesystem>
#include <string>

namespace validate {

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Writes a u8 tensor as an IDX file; the last `missing` bytes are left out, to make a damaged one.
void write_idx(const std::string& path, const tinytorch::Tensor& bytes, size_t missing = 0);

}  // namespace validate
