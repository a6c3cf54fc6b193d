// Containers on the host without any machine: made, found, renamed, removed, swept; and what is
// left by those who were killed on the way.
#include "runtime/containers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runtime/container_id.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

namespace fs = std::filesystem;

class ContainersTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "containers.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    HostLayout layout;
    layout.store_root = directory_ + "/store";
    layout.run_root = directory_ + "/run";
    containers_ = std::make_unique<Containers>(layout);
  }
  void TearDown() override { fs::remove_all(directory_); }

  ContainerRecord Make(const std::string& name = "", bool remove_at_exit = false) {
    ContainerRecord record;
    record.id = NewContainerId().value();
    record.name = name;
    record.image = "test";
    record.image_id = "sha256:" + std::string(64, 'a');
    record.machine.layer_files = {"layer-of-" + name};
    record.created_at_ns = ++clock_;
    record.remove_at_exit = remove_at_exit;
    const Result<ContainerRecord> made = containers_->Create(record, "{}");
    EXPECT_TRUE(made) << made.error().ToString();
    return made.value_or(record);
  }
  void SetStatus(const std::string& id, ContainerStatus status) {
    ASSERT_TRUE(containers_->Change(id, [status](ContainerRecord& record) -> Status {
      record.state.status = status;
      return {};
    }));
  }
  std::vector<std::string> Names(const std::string& under) const {
    std::vector<std::string> names;
    if (!fs::exists(directory_ + under)) return names;
    for (const auto& entry : fs::directory_iterator(directory_ + under)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  std::string directory_;
  std::unique_ptr<Containers> containers_;
  int64_t clock_ = 0;
};

TEST_F(ContainersTest, IsFoundByNameIdAndUniquePrefix) {
  const ContainerRecord one = Make("one");
  const ContainerRecord two = Make("two");
  EXPECT_EQ(containers_->Find("one").value(), one.id);
  EXPECT_EQ(containers_->Find("/two").value(), two.id);
  EXPECT_EQ(containers_->Find(one.id).value(), one.id);
  EXPECT_EQ(containers_->Find(two.id.substr(0, 12)).value(), two.id);
  const Result<std::string> none = containers_->Find("three");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().ToString(), "No such container: three");
  EXPECT_FALSE(containers_->Find(""));
  EXPECT_FALSE(containers_->Find("../containers/" + one.id));
}

TEST_F(ContainersTest, APrefixOfTwoIsRefused) {
  std::set<char> firsts;
  for (int i = 0; i < 17; ++i) firsts.insert(Make().id[0]);
  for (const char first : firsts) {
    const Result<std::string> found = containers_->Find(std::string(1, first));
    if (!found) {
      EXPECT_EQ(found.error().code(), ErrorCode::kInvalidArgument);
      return;
    }
  }
  FAIL() << "seventeen ids begin with seventeen different digits";
}

TEST_F(ContainersTest, TheNewestIsListedFirst) {
  Make("a");
  Make("b");
  const std::vector<ContainerRecord> all = containers_->List().value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "b");
}

TEST_F(ContainersTest, WithoutANameItGetsTwoWords) {
  const ContainerRecord record = Make();
  EXPECT_NE(record.name.find('_'), std::string::npos);
  EXPECT_EQ(containers_->Find(record.name).value(), record.id);
}

TEST_F(ContainersTest, ANameIsTakenOnce) {
  const ContainerRecord first = Make("web");
  ContainerRecord second = first;
  second.id = NewContainerId().value();
  const Result<ContainerRecord> made = containers_->Create(second, "{}");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_NE(made.error().ToString().find("\"/web\" is already in use by container \"" + first.id),
            std::string::npos);
  EXPECT_EQ(Names("/store/containers").size(), 1U) << "what could not be made is left";
}

TEST_F(ContainersTest, ANameThatLeadsNowhereIsFree) {
  fs::create_directories(directory_ + "/store/names");
  fs::create_symlink(std::string(64, 'a'), directory_ + "/store/names/web");
  EXPECT_EQ(containers_->Find("web").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(Make("web").name, "web");
}

TEST_F(ContainersTest, ANewNameLeavesTheOldOneFree) {
  const ContainerRecord record = Make("old");
  ASSERT_TRUE(containers_->Rename(record.id, "new"));
  EXPECT_EQ(containers_->Find("new").value(), record.id);
  EXPECT_FALSE(containers_->Find("old"));
  Make("old");
  EXPECT_EQ(containers_->Rename(record.id, "old").error().code(), ErrorCode::kAlreadyExists);
  EXPECT_FALSE(containers_->Rename(record.id, "not/a name"));
}

TEST_F(ContainersTest, ARenameThatWasKilledBeforeTheRecordIsNone) {
  const ContainerRecord record = Make("old");
  fs::create_symlink(record.id, directory_ + "/store/names/new");
  EXPECT_FALSE(containers_->Find("new"));
  EXPECT_EQ(containers_->Find("old").value(), record.id);
  EXPECT_EQ(Make("new").name, "new");
}

TEST_F(ContainersTest, RemovedLeavesNothing) {
  const ContainerRecord record = Make("gone");
  std::ofstream(containers_->LogPath(record.id)) << "x";
  ASSERT_TRUE(containers_->Remove(record.id));
  EXPECT_EQ(Names("/store/containers"), std::vector<std::string>());
  EXPECT_EQ(Names("/store/names"), std::vector<std::string>());
  EXPECT_EQ(Names("/run"), std::vector<std::string>{"events.jsonl"});
  EXPECT_EQ(containers_->Remove(record.id).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(Names("/run"), std::vector<std::string>{"events.jsonl"});
}

TEST_F(ContainersTest, ARemovalThatIsCutShortIsOneForEverybody) {
  const ContainerRecord record = Make("gone");
  // Files go one by one, and this is none: as if killed there.
  fs::create_directory(containers_->Directory(record.id) + "/odd");
  EXPECT_FALSE(containers_->Remove(record.id));
  EXPECT_EQ(containers_->Find(record.id).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(Names("/store/containers"), std::vector<std::string>{".removed-" + record.id});
  EXPECT_EQ(Make("gone").name, "gone");
}

TEST_F(ContainersTest, ARunningOneIsNotRemoved) {
  const ContainerRecord record = Make("busy");
  const RunDirectory run = containers_->LockRunDirectory(record.id).value();
  SetStatus(record.id, ContainerStatus::kRunning);
  EXPECT_EQ(containers_->Remove(record.id).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(containers_->LoadId(record.id)->state.status, ContainerStatus::kRunning);
  EXPECT_EQ(containers_->LockRunDirectory(record.id).error().code(), ErrorCode::kUnavailable);
}

TEST_F(ContainersTest, ADeadSupervisorIsRecorded) {
  const ContainerRecord record = Make("dead");
  { const RunDirectory run = containers_->LockRunDirectory(record.id).value(); }
  SetStatus(record.id, ContainerStatus::kRunning);
  const ContainerRecord now = containers_->Load("dead").value();
  EXPECT_EQ(now.state.status, ContainerStatus::kExited);
  EXPECT_EQ(now.state.exit_code, 137);
  EXPECT_NE(now.state.error, "");
  EXPECT_EQ(Names("/run"), std::vector<std::string>{"events.jsonl"});
}

TEST_F(ContainersTest, ARebootIsUnderstood) {
  const ContainerRecord kept = Make("kept");
  const ContainerRecord thrown = Make("thrown", true);
  SetStatus(kept.id, ContainerStatus::kPaused);
  SetStatus(thrown.id, ContainerStatus::kRunning);
  const std::vector<ContainerRecord> all = containers_->List().value();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].state.status, ContainerStatus::kExited);
  EXPECT_FALSE(containers_->Find("thrown"));
}

// Waits until a process sleeps in flock(2).
void AwaitBlockedInFlock(pid_t pid) {
  const std::string prefix = std::to_string(SYS_flock) + " ";
  for (int attempt = 0; attempt < 5000; ++attempt) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/syscall");
    std::string line;
    if (std::getline(file, line) && line.starts_with(prefix)) return;
    usleep(1000);
  }
  FAIL() << "does not wait for the lock";
}

TEST_F(ContainersTest, AContainerThatWasStartedMeanwhileIsNotSwept) {
  const ContainerRecord record = Make("again");
  SetStatus(record.id, ContainerStatus::kRunning);
  const UniqueFd directory(open(containers_->Directory(record.id).c_str(), O_RDONLY));
  ASSERT_EQ(flock(directory.get(), LOCK_EX), 0);
  // Finds nobody who runs it, and waits for the lock to record that.
  const pid_t sweeper = fork();
  if (sweeper == 0) _exit(containers_->LoadId(record.id) ? 0 : 1);
  AwaitBlockedInFlock(sweeper);
  const RunDirectory run = containers_->LockRunDirectory(record.id).value();
  ASSERT_EQ(flock(directory.get(), LOCK_UN), 0);
  int status = 0;
  ASSERT_EQ(waitpid(sweeper, &status, 0), sweeper);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(containers_->LoadId(record.id)->state.status, ContainerStatus::kRunning);
}

TEST_F(ContainersTest, ADeadMachineIsEnded) {
  const ContainerRecord record = Make("orphan");
  const pid_t machine = fork();
  if (machine == 0) {
    pause();
    _exit(0);
  }
  const RunDirectory run = containers_->LockRunDirectory(record.id).value();
  SandboxState state;
  state.vmm = IdentifyProcess(machine).value();
  ASSERT_TRUE(WriteFileAtomically(run.path + "/state.json", WriteSandboxState(state), 0600));
  EXPECT_EQ(containers_->Sandbox(record.id).vmm, state.vmm);
  ASSERT_EQ(flock(run.fd.get(), LOCK_UN), 0);
  EXPECT_EQ(containers_->Sweep(), 1);
  int status = 0;
  ASSERT_EQ(waitpid(machine, &status, WNOHANG), machine) << "still runs";
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST_F(ContainersTest, WhatWasHalfMadeOrHalfRemovedIsCleared) {
  const std::string id(64, 'a');
  fs::create_directories(directory_ + "/store/containers/" + id);
  std::ofstream(directory_ + "/store/containers/" + id + "/config.json") << "{}";
  fs::create_directories(directory_ + "/store/containers/.removed-" + id);
  std::ofstream(directory_ + "/store/containers/.removed-" + id + "/scratch.img") << "x";
  fs::create_directories(directory_ + "/run/" + std::string(64, 'b'));
  EXPECT_EQ(containers_->Sweep(), 3);
  EXPECT_EQ(Names("/store/containers"), std::vector<std::string>());
  EXPECT_EQ(Names("/run"), std::vector<std::string>());
}

TEST_F(ContainersTest, LayersOfEveryRecordAreInUse) {
  Make("a");
  Make("b");
  const ImagesInUse in_use = containers_->InUse().value();
  EXPECT_EQ(in_use.layer_files, (std::set<std::string>{"layer-of-a", "layer-of-b"}));
  EXPECT_EQ(in_use.image_ids.size(), 1U);
  fs::create_directories(containers_->Directory(std::string(64, 'c')));
  std::ofstream(containers_->RecordPath(std::string(64, 'c'))) << "nonsense";
  EXPECT_FALSE(containers_->InUse()) << "it may use anything";
}

TEST_F(ContainersTest, ManyMakeAndRemoveAtOnce) {
  std::vector<pid_t> children;
  for (int child = 0; child < 8; ++child) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    for (int i = 0; i < 40; ++i) {
      const ContainerRecord record = Make("", i % 2 == 0);
      const Result<RunDirectory> run = containers_->LockRunDirectory(record.id);
      if (!run || !WriteFileAtomically(run->path + "/state.json", "{}", 0600)) _exit(1);
      containers_->Sweep();
      if (access((run->path + "/state.json").c_str(), F_OK) != 0) _exit(2);
      unlink((run->path + "/state.json").c_str());
      rmdir(run->path.c_str());
      if (!containers_->Remove(record.id)) _exit(3);
    }
    _exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(Names("/store/containers"), std::vector<std::string>());
  EXPECT_EQ(Names("/store/names"), std::vector<std::string>());
}

}  // namespace
}  // namespace hull
