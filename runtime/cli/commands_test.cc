#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include <CLI/CLI.hpp>

#include "runtime/cli/arguments.h"
#include "runtime/cli/command.h"
#include "runtime/cli/help.h"
#include "runtime/cli/option_text.h"
#include "runtime/cli/usage.h"

namespace hull::cli {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

std::string Found(const Words& words) {
  const FoundCommand found = FindCommand(words);
  return found.command == nullptr ? "" : fmt::format("{} {}", found.command->name, found.words);
}

TEST(Commands, AreFoundByNameAndByDockersOtherNames) {
  EXPECT_EQ(Found({"rm", "x"}), "rm 1");
  EXPECT_EQ(Found({"container", "rm", "x"}), "rm 2");
  EXPECT_EQ(Found({"container", "remove"}), "rm 2");
  EXPECT_EQ(Found({"image", "ls"}), "images 2");
  EXPECT_EQ(Found({"container"}), "");
  EXPECT_EQ(Found({"image", "rm x"}), "");
  EXPECT_EQ(Found({"container rm"}), "rm 1");  // one word of a quoted name does no harm
  EXPECT_EQ(Found({}), "");
  EXPECT_EQ(Found({""}), "");
}
TEST(Commands, NoNameIsTakenTwice) {
  std::set<std::string_view> names;
  for (const Command* command : Commands()) {
    EXPECT_TRUE(names.insert(command->name).second) << command->name;
    for (const std::string_view alias : AliasesOf(*command)) {
      EXPECT_TRUE(names.insert(alias).second) << alias;
    }
  }
}
TEST(Commands, EachIsDescribedWell) {
  for (const Command* command : Commands()) {
    SCOPED_TRACE(command->name);
    EXPECT_FALSE(command->summary.empty());
    EXPECT_FALSE(command->summary.ends_with('.'));
    EXPECT_NE(command->declare, nullptr);
    const std::vector<OptionText> options = OptionsOf(*command);
    EXPECT_TRUE(options.empty() || command->arguments.starts_with("[OPTIONS]"))
        << command->arguments;
    for (const OptionText& option : options) {
      EXPECT_FALSE(option.description.empty()) << option.name;
      EXPECT_FALSE(option.description.ends_with('.')) << option.name;
    }
    for (const Example& example : command->examples) {
      EXPECT_THAT(std::string(example.command), HasSubstr("hull "));
    }
    for (const std::string_view name : AliasesOf(*command)) {
      const size_t space = name.find(' ');
      if (space != std::string_view::npos) {
        EXPECT_NE(FindFamily(name.substr(0, space)), nullptr) << name;
      }
    }
  }
}

TEST(Usage, TheSynopsisSaysHowManyArguments) {
  const auto count = [](std::string_view synopsis) {
    const ArgumentCount counted = CountArguments(synopsis);
    return counted.most == ArgumentCount::kAnyNumber
               ? fmt::format("{}+", counted.least)
               : fmt::format("{}-{}", counted.least, counted.most);
  };
  EXPECT_EQ(count(""), "0-0");
  EXPECT_EQ(count("[OPTIONS]"), "0-0");
  EXPECT_EQ(count("[OPTIONS] IMAGE"), "1-1");
  EXPECT_EQ(count("[OPTIONS] [REPOSITORY[:TAG]]"), "0-1");
  EXPECT_EQ(count("[OPTIONS] CONTAINER [CONTAINER...]"), "1+");
  EXPECT_EQ(count("[OPTIONS] IMAGE [COMMAND] [ARG...]"), "1+");
  EXPECT_EQ(count("CONTAINER [ps OPTIONS]"), "1-3");
  EXPECT_EQ(count("SOURCE TARGET"), "2-2");
  EXPECT_EQ(count("[OPTIONS] CONTAINER:PATH PATH|-\n[OPTIONS] PATH|- CONTAINER:PATH"), "2-2");
}
TEST(Usage, AWrongNumberOfArgumentsIsSaidInDockersWords) {
  const auto said = [](std::string_view synopsis, size_t count) {
    return CheckArgumentCount(
        Command{.name = "x", .summary = "", .arguments = synopsis, .declare = nullptr}, count);
  };
  EXPECT_EQ(said("A [A...]", 0), "'hull x' requires at least 1 argument");
  EXPECT_EQ(said("A B [C...]", 1), "'hull x' requires at least 2 arguments");
  EXPECT_EQ(said("A [A...]", 9), "");
  EXPECT_EQ(said("[OPTIONS]", 1), "'hull x' accepts no arguments");
  EXPECT_EQ(said("A", 2), "'hull x' requires 1 argument");
  EXPECT_EQ(said("A B", 1), "'hull x' requires 2 arguments");
  EXPECT_EQ(said("[A]", 2), "'hull x' requires at most 1 argument");
  EXPECT_EQ(said("A [B]", 3), "'hull x' requires at least 1 and at most 2 arguments");
}
TEST(Usage, TheNearestCommandIsMeant) {
  EXPECT_EQ(NearestCommand("imagse"), "images");
  EXPECT_EQ(NearestCommand("vresion"), "version");
  EXPECT_EQ(NearestCommand("container remvoe"), "container remove");
  EXPECT_EQ(NearestCommand("frobnicate"), "");
  EXPECT_EQ(NearestCommand(std::string(1 << 20, 'x')), "");
  EXPECT_EQ(NearestCommand(""), "");
}

class SplitTest : public testing::Test {
 protected:
  SplitTest() {
    app_.set_help_flag();
    app_.add_flag("-a,--all", all_);
    app_.add_option("-n,--last", last_);
    app_.add_option("-f,--filter", filters_);
    app_.add_option("-x", letter_);
    SetRules(app_);
  }
  std::string Parse(const Words& words, Mixed mixed = Mixed::kYes) {
    Result<SplitArguments> split = SplitCommandLine(app_, words, mixed);
    if (!split) return split.error().message();
    std::reverse(split->options.begin(), split->options.end());
    try {
      app_.parse(split->options);
    } catch (const CLI::Error& error) {
      return error.what();
    }
    return fmt::format("{} {} [{}] {} | {}", all_, last_, fmt::join(filters_, ","), letter_,
                       fmt::join(split->rest, " "));
  }

  CLI::App app_;
  bool all_ = false;
  int last_ = 0;
  std::vector<std::string> filters_;
  std::string letter_;
};

TEST_F(SplitTest, OptionsMayStandBehindArguments) {
  EXPECT_EQ(Parse({"one", "-a", "two", "--last", "3"}), "true 3 []  | one two");
}
TEST_F(SplitTest, OrMayNot) {
  EXPECT_EQ(Parse({"-a", "one", "-a", "--", "-q"}, Mixed::kNo), "true 0 []  | one -a -- -q");
}
TEST_F(SplitTest, TwoDashesEndThem) {
  EXPECT_EQ(Parse({"one", "--", "-a", "--"}), "false 0 []  | one -a --");
}
TEST_F(SplitTest, ValuesMayLookLikeOptions) {
  EXPECT_EQ(Parse({"-n", "-1", "-f", "--all", "-x", "-x"}), "false -1 [--all] -x | ");
}
TEST_F(SplitTest, ListsTakeOneValueEachAndAsItIs) {
  EXPECT_EQ(Parse({"-f", "[a,b]", "word", "-f=c", "-fd", "--filter=", "end"}),
            "false 0 [[a,b],c,d,]  | word end");
}
TEST_F(SplitTest, TheLastOfTwoCounts) {
  EXPECT_EQ(Parse({"-n1", "-n", "2", "-x1", "-x=2"}), "false 2 [] 2 | ");
}
TEST_F(SplitTest, FlagsMayBeSwitchedOff) {
  EXPECT_EQ(Parse({"-a", "--all=false"}), "false 0 []  | ");
  EXPECT_EQ(Parse({"-a=true"}), "true 0 []  | ");
}
TEST_F(SplitTest, WhatIsWrongIsSaidInDockersWords) {
  EXPECT_EQ(Parse({"--nope"}), "unknown flag: --nope");
  EXPECT_EQ(Parse({"---"}), "unknown flag: ---");
  EXPECT_EQ(Parse({"--=x"}), "unknown flag: --");
  EXPECT_EQ(Parse({"-aq"}), "unknown shorthand flag: 'q' in -q");
  EXPECT_EQ(Parse({"--last"}), "flag needs an argument: --last");
  EXPECT_EQ(Parse({"-an"}), "flag needs an argument: 'n' in -an");
}
TEST_F(SplitTest, ADashAloneIsAnArgument) {
  EXPECT_EQ(Parse({"-", "-a"}), "true 0 []  | -");
}

TEST(Help, LongTextIsWrapped) {
  EXPECT_EQ(Wrap("one two three", 2, 9), "one two\n  three");
  EXPECT_EQ(Wrap("averylongwordthatdoesnotfit x", 2, 9), "averylongwordthatdoesnotfit\n  x");
  EXPECT_EQ(Wrap("one\ntwo  three", 0, 80), "one two three");
  EXPECT_EQ(Wrap("", 2, 9), "");
}
TEST(Help, EveryCommandIsInOneAndShowsItsOptions) {
  const std::string general = GeneralHelp();
  for (const Command* command : Commands()) {
    const size_t space = command->name.find(' ');
    const std::string help = space == std::string_view::npos
                                 ? general
                                 : FamilyHelp(*FindFamily(command->name.substr(0, space)));
    EXPECT_THAT(help, HasSubstr(fmt::format("\n  {} ", command->name.substr(space + 1))));
  }
  const std::string help = CommandHelp(*FindCommand(Words{"images"}).command);
  EXPECT_THAT(help, testing::StartsWith("Usage:  hull images [OPTIONS] [REPOSITORY[:TAG]]\n\n"));
  EXPECT_THAT(help, HasSubstr("\n  -q, --quiet "));
  EXPECT_THAT(help, HasSubstr("hull image ls"));
}

}  // namespace
}  // namespace hull::cli
