#include "runtime/container_log_reader.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "runtime/events.h"
#include "runtime/events_reader.h"
#include "runtime/file_watch.h"

namespace hull {
namespace {

namespace fs = std::filesystem;

class LogReaderTest : public testing::Test {
 protected:
  LogReaderTest() {
    std::string pattern = testing::TempDir() + "hull-log.XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~LogReaderTest() override { fs::remove_all(directory_); }

  std::string Path() const { return directory_ / "container.log"; }
  ContainerLogReader Reader(std::optional<uint64_t> tail = std::nullopt) const {
    return *ContainerLogReader::Open(Path(), tail);
  }
  // What there is now: "o:text" and "e:text", parts with a "+" behind.
  static std::string Rest(ContainerLogReader& reader) {
    std::string all;
    for (;;) {
      const Result<const LogEntry*> entry = reader.Next();
      if (!entry) return entry.error().ToString();
      if (*entry == nullptr) return all;
      all += (*entry)->stream == LogStream::kStdout ? "o:" : "e:";
      all += std::string((*entry)->text) + ((*entry)->ends_line ? " " : "+ ");
    }
  }
  ContainerLog Writer(uint64_t max_bytes = 1 << 20, uint32_t max_files = 3) const {
    LogOptions options;
    options.max_bytes = max_bytes;
    options.max_files = max_files;
    return *ContainerLog::Open(Path(), options);
  }
  static void Say(ContainerLog& log, std::string_view text, LogStream stream = LogStream::kStdout) {
    ASSERT_TRUE(log.Append(stream, text));
  }

  fs::path directory_;
};

TEST_F(LogReaderTest, WhatIsWrittenIsRead) {
  ContainerLog log = Writer();
  Say(log, "one\ntwo\n");
  Say(log, "oops\n", LogStream::kStderr);
  Say(log, "unfinished");
  ASSERT_TRUE(log.Flush());
  ContainerLogReader reader = Reader();
  EXPECT_EQ(Rest(reader), "o:one o:two e:oops o:unfinished+ ");
  Say(log, "more\n");
  EXPECT_EQ(Rest(reader), "o:more ");
  EXPECT_EQ(Rest(reader), "");
}
TEST_F(LogReaderTest, NothingIsThereYet) {
  ContainerLogReader reader = Reader();
  EXPECT_EQ(Rest(reader), "");
  ContainerLog log = Writer();
  Say(log, "first\n");
  EXPECT_EQ(Rest(reader), "o:first ");
}
TEST_F(LogReaderTest, RotatedFilesAreReadFromTheOldest) {
  ContainerLog log = Writer(100);
  for (const char* text : {"1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n"}) Say(log, text);
  ASSERT_TRUE(fs::exists(directory_ / "container.log.2"));
  ContainerLogReader reader = Reader();
  EXPECT_EQ(Rest(reader), "o:3 o:4 o:5 o:6 o:7 ");
}
TEST_F(LogReaderTest, ARotationWhileFollowingLosesNothing) {
  ContainerLog log = Writer(100, 50);
  ContainerLogReader reader = Reader();
  std::string expected;
  std::string got;
  for (int i = 0; i < 60; ++i) {
    Say(log, std::to_string(i) + "\n");
    expected += fmt::format("o:{} ", i);
    // Sometimes several rotations happen between two looks.
    if (i % 7 == 0) got += Rest(reader);
  }
  got += Rest(reader);
  EXPECT_EQ(got, expected);
}
TEST_F(LogReaderTest, AReaderThatIsLeftBehindGoesOnWithTheOldest) {
  ContainerLog log = Writer(100, 2);
  Say(log, "0\n");
  ContainerLogReader reader = Reader();
  EXPECT_EQ(Rest(reader), "o:0 ");
  for (int i = 1; i < 20; ++i) Say(log, std::to_string(i) + "\n");
  EXPECT_TRUE(Rest(reader).ends_with("o:18 o:19 "));
}
TEST_F(LogReaderTest, ARemovedLogIsReadToItsEnd) {
  ContainerLog log = Writer();
  Say(log, "one\n");
  ContainerLogReader reader = Reader();
  Say(log, "two\n");
  fs::remove_all(directory_);
  EXPECT_EQ(Rest(reader), "o:one o:two ");
  EXPECT_EQ(Rest(reader), "");
}
TEST_F(LogReaderTest, TheTailReachesAcrossFiles) {
  ContainerLog log = Writer(100);
  for (const char* text : {"1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n"}) Say(log, text);
  const auto tail = [&](uint64_t count) {
    ContainerLogReader reader = Reader(count);
    return Rest(reader);
  };
  EXPECT_EQ(tail(0), "");
  EXPECT_EQ(tail(1), "o:7 ");
  EXPECT_EQ(tail(2), "o:6 o:7 ");
  EXPECT_EQ(tail(3), "o:5 o:6 o:7 ");
  EXPECT_EQ(tail(4), "o:4 o:5 o:6 o:7 ");
  EXPECT_EQ(tail(99), "o:3 o:4 o:5 o:6 o:7 ");
}
TEST_F(LogReaderTest, TheTailOfALongFileIsFoundFromItsEnd) {
  ContainerLog log = Writer(uint64_t{64} << 20U);
  std::string lines;
  for (int i = 0; i < 20'000; ++i) lines += std::to_string(i) + "\n";
  Say(log, lines);
  ContainerLogReader reader = Reader(5000);
  const std::string rest = Rest(reader);
  EXPECT_TRUE(rest.starts_with("o:15000 o:15001 ")) << rest.substr(0, 40);
  EXPECT_TRUE(rest.ends_with("o:19999 "));
}
TEST_F(LogReaderTest, ForeignLinesArePassedOver) {
  std::ofstream(Path()) << "nonsense\n\n2026-11-22T18:00:00.000000000Z stdout F fine\n"
                        << std::string(100'000, 'x') << "\nstdout F no time\n"
                        << "2026-11-22T18:00:00.000000000Z stdfoo F wrong\n"
                        << "2026-11-22T18:00:00.000000000Z stderr P  two blanks\n"
                        << "2026-11-22T18:00:00.000000000Z stdout F not ended";
  ContainerLogReader reader = Reader();
  EXPECT_EQ(Rest(reader), "o:fine e: two blanks+ ");
}

TEST(LogEntry, IsTakenApart) {
  const std::optional<LogEntry> entry = ParseLogEntry("T stderr F a b");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->time, "T");
  EXPECT_EQ(entry->stream, LogStream::kStderr);
  EXPECT_EQ(entry->text, "a b");
  EXPECT_TRUE(ParseLogEntry("T stdout F "));
  for (const char* wrong :
       {"", "T", "T ", "T stdout", "T stdout F", "T stdout X a", "stdout F a"}) {
    EXPECT_FALSE(ParseLogEntry(wrong)) << wrong;
  }
}

class EventsReaderTest : public LogReaderTest {
 protected:
  EventsReaderTest() { layout_.run_root = directory_; }
  void Happen(const std::string& action) const {
    RecordEvent(layout_, {"container", action, "id", {{"name", "web"}}, 0});
  }
  static std::string Actions(EventsReader& reader) {
    std::string all;
    for (;;) {
      const auto event = reader.Next();
      if (!event) return event.error().ToString();
      if (!*event) return all;
      EXPECT_GT(EventTimeNs(**event), 0);
      all += std::string((*event)->at("Action").as_string()) + " ";
    }
  }
  HostLayout layout_;
};

TEST_F(EventsReaderTest, OldOnesAreReadWhenAskedFor) {
  Happen("create");
  EventsReader all = *EventsReader::Open(layout_, EventsReader::Start::kFromTheFirst);
  EventsReader news = *EventsReader::Open(layout_, EventsReader::Start::kFromNow);
  EXPECT_EQ(Actions(all), "create ");
  EXPECT_EQ(Actions(news), "");
  Happen("start");
  EXPECT_EQ(Actions(all), "start ");
  EXPECT_EQ(Actions(news), "start ");
}
TEST_F(EventsReaderTest, ARotationIsFollowed) {
  Happen("zero");
  EventsReader news = *EventsReader::Open(layout_, EventsReader::Start::kFromNow);
  Happen("one");
  fs::rename(directory_ / "events.jsonl", directory_ / "events.jsonl.1");
  Happen("two");
  std::ofstream(directory_ / "events.jsonl", std::ios::app) << "not an event\n[]\n";
  Happen("three");
  EXPECT_EQ(Actions(news), "one two three ");
  EventsReader all = *EventsReader::Open(layout_, EventsReader::Start::kFromTheFirst);
  EXPECT_EQ(Actions(all), "zero one two three ");
}

TEST_F(EventsReaderTest, ManyWritersAndARotationLoseNothing) {
  constexpr int kWriters = 4;
  constexpr int kEach = 1500;
  // One rotation and a half: a reader may be one behind, and no further.
  const std::string label(kMaxEventsBytes * 3 / 2 / (kWriters * kEach), 'x');
  Happen("first");
  EventsReader news = *EventsReader::Open(layout_, EventsReader::Start::kFromNow);
  std::vector<std::thread> writers;
  std::atomic<int> writing = kWriters;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        RecordEvent(layout_, {"container", "start", "id", {{"label", label}}, 0});
      }
      --writing;
    });
  }
  int read = 0;
  for (;;) {
    const bool last = writing == 0;
    for (;;) {
      const auto event = news.Next();
      ASSERT_TRUE(event) << event.error().ToString();
      if (!*event) break;
      ++read;
    }
    if (last) break;
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_TRUE(fs::exists(directory_ / "events.jsonl.1"));
  EXPECT_EQ(read, kWriters * kEach);
}

TEST_F(LogReaderTest, AWatchNoticesChangesAndReadersThatGo) {
  FileWatch watch = *FileWatch::Open(directory_);
  EXPECT_EQ(watch.Wait(0, -1), FileWatch::Woken::kTimedOut);
  std::ofstream(directory_ / "new") << "x";
  EXPECT_EQ(watch.Wait(1000, -1), FileWatch::Woken::kChanged);
  int ends[2] = {};
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(watch.Wait(0, ends[1]), FileWatch::Woken::kTimedOut);
  close(ends[0]);
  EXPECT_EQ(watch.Wait(1000, ends[1]), FileWatch::Woken::kReaderGone);
  close(ends[1]);
  EXPECT_FALSE(FileWatch::Open(directory_ / "nowhere"));
}

}  // namespace
}  // namespace hull
