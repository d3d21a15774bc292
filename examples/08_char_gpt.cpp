// A tiny GPT that learns a text character by character and then goes on writing it.
//
//   08_char_gpt [text file]     without a file it learns the verse below
//
// Returns 0 if the loss falls below three quarters of ln(number of different characters), which is
// what guessing blindly costs.
#include <tinytorch/tt.h>

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "examples/models/gpt.h"

namespace {

constexpr int64_t kContext = 32, kBatch = 8, kSteps = 150;
constexpr const char* kVerse =
    "Betty Botter bought some butter, but she said the butter's bitter; if I put it in my batter, "
    "it will make my batter bitter, but a bit of better butter will make my batter better.\n";

// Characters are tokens: their numbers are places in `alphabet`.
struct Text {
  std::string alphabet;
  tt::Tensor tokens;  // i64 [n]

  explicit Text(const std::string& text) {
    std::vector<int64_t> numbers;
    for (const char c : text) {
      if (alphabet.find(c) == std::string::npos) alphabet += c;
      numbers.push_back(static_cast<int64_t>(alphabet.find(c)));
    }
    tokens = tt::tensor(numbers);
  }

  int64_t size() const { return tokens.numel(); }
  // The tokens at `index`, in its shape.
  tt::Tensor at(const tt::Tensor& index) const {
    return tokens.index_select(0, index.flatten()).reshape(index.shape());
  }
};

double train(models::Gpt& net, const Text& text) {
  tt::AdamW optimizer(net.parameters(), 3e-3);
  double last = 0;
  for (int64_t step = 1; step <= kSteps; ++step) {
    const tt::Tensor starts = tt::randint(0, text.size() - kContext, {kBatch, 1});
    const tt::Tensor index = starts + tt::arange(kContext);  // [B, T]
    optimizer.zero_grad();
    const tt::Tensor loss = tt::cross_entropy(net(text.at(index)), text.at(index + 1).flatten());
    loss.backward();
    optimizer.step();
    if (step == 1 || step % 50 == 0) {
      last = loss.item();
      std::cout << "step " << step << ": loss " << last << '\n';
    }
  }
  return last;
}

// Goes on after the first characters of the text. The largest of logits plus Gumbel noise is a draw
// from their softmax (Gumbel 1954).
std::string write(models::Gpt& net, const Text& text, int64_t length) {
  const tt::NoGrad guard;
  tt::Tensor tokens = text.tokens.slice(0, 0, 4);
  while (tokens.numel() < length) {
    const tt::Tensor seen = tokens.slice(0, -kContext, tokens.numel()).unsqueeze(0);  // [1, T]
    const tt::Tensor logits = net(seen)[-1];
    const tt::Tensor noise = -(-tt::rand(logits.shape()).log()).log();
    tokens = tt::cat({tokens, (logits + noise).argmax().reshape({1})});
  }
  std::string written;
  for (const int64_t t : tokens.to_vector<int64_t>())
    written += text.alphabet[static_cast<size_t>(t)];
  return written;
}

}  // namespace

int main(int argc, char** argv) {
  std::string content = kVerse;
  if (argc > 1) {
    std::ifstream file(argv[1], std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(file), {});
    if (content.size() <= kContext) {
      std::cerr << argv[1] << ": a text of more than " << kContext << " characters is needed\n";
      return 2;
    }
  }
  tt::manual_seed(4);
  const Text text(content);
  models::Gpt net({.tokens = static_cast<int64_t>(text.alphabet.size()),
                   .context = kContext,
                   .width = 64,
                   .heads = 4,
                   .layers = 2});
  const double blind = std::log(static_cast<double>(text.alphabet.size()));
  std::cout << text.alphabet.size() << " different characters: guessing blindly costs " << blind
            << '\n';
  const double loss = train(net, text);
  std::cout << write(net, text, 160) << '\n';
  return loss < 0.75 * blind ? 0 : 1;
}
