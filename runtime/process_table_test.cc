#include "runtime/process_table.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <limits>

namespace hull {
namespace {

using agent::v1::ProcessesResponse;
using agent::v1::ProcessInfo;

std::string Titles(const std::vector<std::string>& options) {
  const auto columns = ParsePsOptions(options);
  if (!columns) return "refused: " + columns.error().message();
  std::string titles;
  for (const ProcessColumn& column : *columns) titles += column.title + " ";
  return titles;
}

TEST(ParsePsOptions, TablesAndLists) {
  EXPECT_EQ(Titles({}), "UID PID PPID C STIME TTY TIME CMD ");
  EXPECT_EQ(Titles({"-ef"}), Titles({}));
  EXPECT_EQ(Titles({"-e", "-f"}), Titles({}));
  EXPECT_EQ(Titles({"aux"}), "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND ");
  EXPECT_EQ(Titles({"-aux"}), Titles({"aux"}));
  EXPECT_EQ(Titles({"-e"}), "PID TTY TIME CMD ");
  EXPECT_EQ(Titles({"-eo", "pid,comm"}), "PID COMMAND ");
  EXPECT_EQ(Titles({"-o", "pid", "-o", "args"}), "PID COMMAND ");
  EXPECT_EQ(Titles({"-opid=NUMBER"}), "NUMBER ");
  EXPECT_EQ(Titles({"--format", "pid,%cpu"}), "PID %CPU ");
}

TEST(ParsePsOptions, RefusesWithTheReason) {
  EXPECT_EQ(Titles({"-o", "comm"}), "refused: Couldn't find PID field in ps output");
  EXPECT_EQ(Titles({"-o", "pid,selinux"}), "refused: ps option: hull top has no column 'selinux'");
  for (const char* option : {"-p", "--forest", "-T", "-H", "-o"}) {
    EXPECT_TRUE(Titles({option}).starts_with("refused: ps option '")) << option;
  }
}

ProcessInfo Shell() {
  ProcessInfo info;
  info.set_pid(7);
  info.set_parent(1);
  info.set_effective_user_name("web");
  info.set_started_at_ns(1'000'000'000'000);
  info.set_user_time_ns(61'000'000'000);
  info.set_system_time_ns(2'000'000'000);
  info.set_terminal("pts/0");
  info.set_state("S");
  info.set_session(7);
  info.set_foreground(true);
  info.set_command("sh");
  info.set_arguments(std::string("sh\0-c\0x\033[31m\0", 12));
  return info;
}

TEST(FormatProcesses, AsDockerPrintsThem) {
  setenv("TZ", "UTC", 1);
  ProcessesResponse all;
  *all.add_processes() = Shell();
  all.set_now_ns(1'126'000'000'000);
  EXPECT_EQ(FormatProcesses(*ParsePsOptions(std::vector<std::string>{"-o", "pid,time,cmd"}), all),
            "PID                 TIME                CMD\n"
            "7                   00:01:03            sh -c x\\x1b[31m\n");
  EXPECT_EQ(
      FormatProcesses(*ParsePsOptions(std::vector<std::string>{"-o", "pid,c,stat,stime,etime"}),
                      all),
      "PID                 C                   STAT                STIME               ELAPSED\n"
      "7                   50                  Ss+                 00:16               02:06\n");
}

TEST(FormatProcesses, NothingThatAGuestSaysBreaksIt) {
  ProcessesResponse all;
  ProcessInfo* info = all.add_processes();
  info->set_started_at_ns(std::numeric_limits<int64_t>::min());
  info->set_user_time_ns(std::numeric_limits<uint64_t>::max());
  info->set_system_time_ns(std::numeric_limits<uint64_t>::max());
  info->set_resident_bytes(std::numeric_limits<uint64_t>::max());
  info->set_priority(std::numeric_limits<int32_t>::min());
  info->set_state("\033[2J");
  info->set_command("\xff\n");
  all.set_memory_bytes(1);
  all.set_now_ns(std::numeric_limits<int64_t>::max());
  const std::vector<std::string> everything = {
      "-o",
      "args,c,cmd,comm,command,cputime,egid,egroup,etime,etimes,euid,euser,gid,group,lstart,ni,"
      "nice,"
      "nlwp,pcpu,pgid,pgrp,pid,pmem,ppid,pri,rgid,rgroup,rss,ruid,ruser,s,sid,start,stat,state,"
      "stime,thcount,time,tname,tt,tty,ucmd,uid,user,vsize,vsz,wchan"};
  const std::string text = FormatProcesses(*ParsePsOptions(everything), all);
  EXPECT_EQ(text.find('\033'), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

}  // namespace
}  // namespace hull
