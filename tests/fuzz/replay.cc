// Runs a fuzz target over its corpus as ordinary tests: replay_<name> <corpus directory>.
//
// Each input makes two tests: the input as it is, and variations of it. The variations come from a
// generator with a fixed seed, so that a failure repeats.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

constexpr int kVariations = 200;
constexpr int kMaxChangesEach = 8;

// Inputs are given in a heap block of exactly their size, so that AddressSanitizer sees a read
// beyond.
void RunTarget(const Input& input) {
  const Input exact(input);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

class Variations {
 public:
  explicit Variations(Input original) : original_(std::move(original)) {}

  Input Next() {
    Input input = original_;
    const size_t changes = 1 + Below(kMaxChangesEach);
    for (size_t i = 0; i < changes; ++i) Change(input);
    return input;
  }

 private:
  size_t Below(size_t bound) { return random_() % bound; }

  void Change(Input& input) {
    if (input.empty()) {
      input.push_back(static_cast<uint8_t>(Below(256)));
      return;
    }
    const size_t at = Below(input.size());
    switch (Below(5)) {
      case 0:
        input[at] = static_cast<uint8_t>(input[at] ^ (1U << Below(8)));
        break;
      case 1:
        input[at] = Below(2) == 0 ? uint8_t{0} : uint8_t{0xff};
        break;
      case 2:
        input.resize(at);
        break;
      case 3:
        input[at] = static_cast<uint8_t>(Below(256));
        break;
      default: {
        const size_t length = std::min<size_t>(1 + Below(64), input.size() - at);
        const Input piece(input.begin() + static_cast<ptrdiff_t>(at),
                          input.begin() + static_cast<ptrdiff_t>(at + length));
        input.insert(input.begin() + static_cast<ptrdiff_t>(at), piece.begin(), piece.end());
      }
    }
  }

  Input original_;
  // The seed is fixed on purpose: a test that differs from run to run cannot be repeated.
  std::minstd_rand random_{1};
};

class ReplayInput final : public testing::Test {
 public:
  explicit ReplayInput(Input input) : input_(std::move(input)) {}
  void TestBody() override { RunTarget(input_); }

 private:
  Input input_;
};

class ReplayVariations final : public testing::Test {
 public:
  explicit ReplayVariations(Input input) : variations_(std::move(input)) {}
  void TestBody() override {
    for (int i = 0; i < kVariations; ++i) RunTarget(variations_.Next());
  }

 private:
  Variations variations_;
};

Input ReadInput(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void Register(const std::string& name, const Input& input) {
  testing::RegisterTest("Corpus", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [input]() -> testing::Test* { return new ReplayInput(input); });
  testing::RegisterTest("Variations", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [input]() -> testing::Test* { return new ReplayVariations(input); });
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1], error))
    if (entry.is_regular_file()) files.push_back(entry.path());
  if (error || files.empty()) {
    std::fprintf(stderr, "no corpus in %s\n", argv[1]);
    return 2;
  }
  std::sort(files.begin(), files.end());
  Register("empty", {});
  for (const auto& file : files) Register(file.filename().string(), ReadInput(file));
  return RUN_ALL_TESTS();
}
