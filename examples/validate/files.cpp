// IDX: two zero bytes, the element type (8: u8), the rank, each size as 32 bits with the high byte
// first, then the elements.
#include "examples/validate/files.h"

#include <stdlib.h>
#include <tinytorch/error.h>

#include <fstream>
#include <vector>

namespace validate {

TemporaryFolder::TemporaryFolder() {
  std::string name =
      (std::filesystem::temp_directory_path() / "tinytorch-validate-XXXXXX").string();
  if (!mkdtemp(name.data())) throw tinytorch::IoError("cannot make the folder " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_idx(const std::string& path, const tinytorch::Tensor& bytes, size_t missing) {
  constexpr char kU8 = 8;
  std::vector<char> content{0, 0, kU8, static_cast<char>(bytes.rank())};
  for (const int64_t size : bytes.shape())
    for (const int shift : {24, 16, 8, 0}) content.push_back(static_cast<char>(size >> shift));
  for (const uint8_t value : bytes.to_vector<uint8_t>())
    content.push_back(static_cast<char>(value));
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size() - missing));
  if (!file.flush()) throw tinytorch::IoError("cannot write " + path);
}

}  // namespace validate
