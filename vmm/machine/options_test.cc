#include "vmm/machine/options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hull {
namespace {

Result<Options> Parse(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return ParseOptions(arguments);
}

TEST(OptionsTest, FlagsTakeTheirValuesInBothForms) {
  const Options options =
      Parse({"--config", "a.json", "--status-fd=7", "--log-level", "debug"}).value();
  EXPECT_EQ(options.action, Options::Action::kRun);
  EXPECT_EQ(options.config_path, "a.json");
  EXPECT_EQ(options.status_fd, 7);
  EXPECT_EQ(options.log_level, log::Level::kDebug);
  EXPECT_EQ(Parse({"--config=-", "--check"})->action, Options::Action::kCheck);
  EXPECT_EQ(Parse({"--config=-", "--check"})->config_path, "-");
}

TEST(OptionsTest, HelpAndVersionNeedNoConfiguration) {
  EXPECT_EQ(Parse({"--help"})->action, Options::Action::kHelp);
  EXPECT_EQ(Parse({"--version"})->action, Options::Action::kVersion);
}

TEST(OptionsTest, MistakesAreNamed) {
  const struct {
    std::vector<std::string> words;
    const char* message;
  } cases[] = {
      {{}, "--config is missing"},
      {{"--check"}, "--config is missing"},
      {{"--config"}, "--config needs a value"},
      {{"--config=a", "--status-fd", "x"}, "--status-fd x: not the number"},
      {{"--config=a", "--status-fd", "-1"}, "--status-fd -1: not the number"},
      {{"--config=a", "--status-fd", "1x"}, "--status-fd 1x: not the number"},
      {{"--config=a", "--log-level", "loud"}, "--log-level loud: not one of"},
      {{"--config=a", "--check=yes"}, "--check: unknown, or takes no value"},
      {{"--config=a", "extra"}, "unknown argument extra"},
  };
  for (const auto& c : cases) {
    const auto options = Parse(c.words);
    ASSERT_FALSE(options.has_value()) << c.message;
    EXPECT_NE(options.error().ToString().find(c.message), std::string::npos)
        << options.error().ToString();
  }
}

}  // namespace
}  // namespace hull
