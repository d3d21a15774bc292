// GPT: a transformer that guesses the next token (Radford et al. 2019), with normalisation before
// each half of a block. Layers are members: each line registers one under its name, which is what
// save() and load() use.
#pragma once

#include <vector>

#include <tinytorch/tt.h>

namespace models {

// Every place looks at itself and at the places before it: [B, T, width] -> [B, T, width].
struct CausalSelfAttention : tt::Module {
  const int64_t width, heads;
  tt::Linear& qkv = register_module("qkv", tt::Linear(width, 3 * width));
  tt::Linear& out = register_module("out", tt::Linear(width, width));

  CausalSelfAttention(int64_t width, int64_t heads) : width(width), heads(heads) {}

  tt::Tensor forward(const tt::Tensor& x) override {
    const int64_t batch = x.size(0), length = x.size(1);
    const auto by_head = [&](const tt::Tensor& t) {  // [B, heads, T, width / heads], a view
      return t.reshape({batch, length, heads, width / heads}).transpose(1, 2);
    };
    const std::vector<tt::Tensor> parts = qkv(x).split(width, -1);
    const tt::Tensor seen = tt::scaled_dot_product_attention(by_head(parts[0]), by_head(parts[1]),
                                                             by_head(parts[2]), {.causal = true});
    return out(seen.transpose(1, 2).reshape({batch, length, width}));
  }
};

// Attention mixes places, the perceptron works on each alone; both add to their input.
struct TransformerBlock : tt::Module {
  const int64_t width, heads;
  tt::LayerNorm& norm1 = register_module("norm1", tt::LayerNorm({width}));
  CausalSelfAttention& attention = register_module("attention", CausalSelfAttention(width, heads));
  tt::LayerNorm& norm2 = register_module("norm2", tt::LayerNorm({width}));
  tt::Sequential& perceptron = register_module(
      "perceptron",
      tt::Sequential(tt::Linear(width, 4 * width), tt::GELU(), tt::Linear(4 * width, width)));

  TransformerBlock(int64_t width, int64_t heads) : width(width), heads(heads) {}

  tt::Tensor forward(const tt::Tensor& x) override {
    const tt::Tensor y = x + attention(norm1(x));
    return y + perceptron(norm2(y));
  }
};

struct GptOptions {
  int64_t tokens, context;       // how many different ones there are, and how many are seen at most
  int64_t width, heads, layers;  // numbers per token, a multiple of heads; blocks
};

// index [B, T] (i64), T up to the context -> logits [B T, tokens] of what follows each place, as
// cross_entropy takes them.
struct Gpt : tt::Module {
  const GptOptions options;
  tt::Embedding& token = register_module("token", tt::Embedding(options.tokens, options.width));
  tt::Embedding& place = register_module("place", tt::Embedding(options.context, options.width));
  tt::Sequential& blocks = register_module("blocks", tt::Sequential());
  tt::LayerNorm& norm = register_module("norm", tt::LayerNorm({options.width}));
  tt::Linear& head = register_module("head", tt::Linear(options.width, options.tokens, false));

  explicit Gpt(const GptOptions& options) : options(options) {
    for (int64_t i = 0; i < options.layers; ++i)
      blocks.push_back(TransformerBlock(options.width, options.heads));
  }

  tt::Tensor forward(const tt::Tensor& index) override {
    const tt::Tensor places = tt::arange(index.size(1), {.device = index.device()});
    const tt::Tensor x = token(index) + place(places);  // [B, T, width]
    return head(norm(blocks(x))).flatten(0, 1);
  }
};

}  // namespace models
