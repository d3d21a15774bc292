// Helpers of the nn, optim, data and io tests: golden files, comparison within a tolerance, a
// folder that goes away. Tests run in the root of the tree, where tests/data is.
#pragma once

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tinytorch/tinytorch.h>

namespace tinytorch {

inline std::string data_path(const std::string& name) { return "tests/data/" + name; }

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_text(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tinytorch-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The part of a state dict below a prefix, without the prefix.
inline StateDict below(const StateDict& all, const std::string& prefix) {
  StateDict part;
  for (const auto& [name, tensor] : all)
    if (name.starts_with(prefix)) part.emplace(name.substr(prefix.size()), tensor);
  return part;
}

// Every |a - b| <= absolute + relative |b|; the worst element is named.
inline void expect_close(const Tensor& a, const Tensor& b, double absolute, double relative,
                         const std::string& what = "") {
  ASSERT_TRUE(a.defined() && b.defined()) << what;
  ASSERT_EQ(a.shape().str(), b.shape().str()) << what;
  const std::vector<double> x = a.detach().to_vector<double>(), y = b.detach().to_vector<double>();
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs(x[i] - y[i]) / (absolute + relative * std::abs(y[i]));
    if (!(error <= worst)) {
      worst = error;
      at = i;
    }
  }
  if (!x.empty()) {
    EXPECT_LE(worst, 1) << what << ": element " << at << " is " << x[at] << ", needed " << y[at];
  }
}

inline void expect_equal(const Tensor& a, const Tensor& b, const std::string& what = "") {
  ASSERT_TRUE(a.defined() && b.defined()) << what;
  EXPECT_EQ(a.dtype(), b.dtype()) << what;
  ASSERT_EQ(a.shape().str(), b.shape().str()) << what;
  EXPECT_EQ(a.detach().to_vector<double>(), b.detach().to_vector<double>()) << what;
}

// Runs f, which must throw an E whose text holds every one of `parts`.
template <class E, class F>
void expect_error(F&& f, std::initializer_list<const char*> parts) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const E& error) {
    for (const char* part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "'" << part << "' is not in: " << error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another type of error: " << error.what();
  }
}

}  // namespace tinytorch
