// What --help shows.
#pragma once

#include <string>

#include "runtime/cli/command.h"

namespace hull::cli {

std::string GeneralHelp();
// Of "hull container": the commands that can be written so.
std::string FamilyHelp(const Family& family);
std::string CommandHelp(const Command& command);
// "Usage:  hull rm [OPTIONS] CONTAINER [CONTAINER...]\n"
std::string UsageLines(const Command& command);

// "Common Commands"
std::string_view GroupHeading(Group group);
inline constexpr Group kGroups[] = {Group::kCommon, Group::kContainers, Group::kImages,
                                    Group::kSystem};

// The commands that can be written "hull <family> <name>", sorted: the second word and the command.
std::vector<std::pair<std::string, const Command*>> CommandsOf(const Family& family);

// `text` in lines of at most `width` columns, all but the first moved in by `indent`.
std::string Wrap(std::string_view text, size_t indent, size_t width);

}  // namespace hull::cli
