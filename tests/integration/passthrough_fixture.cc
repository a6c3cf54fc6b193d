#include "tests/integration/passthrough_fixture.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace hull::integration {
namespace {

constexpr const char kDevices[] = "/sys/bus/pci/devices";

std::string FirstLine(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

// An image of one layer, written by hand: anything else would take longer than the tests.
constexpr char kMakeImage[] = R"sh(set -e
modprobe vfio-pci
! hull images -q test/passthrough 2> /dev/null | grep -q . || exit 0
made=$(mktemp -d); trap 'rm -rf $made' EXIT; cd $made
mkdir -p root/bin root/tmp layout/blobs/sha256
cp "$HULL_BUILD/tests/passthrough-guest" /usr/bin/busybox root/bin
for applet in cat chmod cut grep head ls mkdir nc sh sha256sum sleep touch true; do
  ln -s busybox root/bin/$applet
done
# Prints the descriptor of what it was given, without its braces.
blob() {
  local digest
  digest=$(sha256sum < $1 | cut -d' ' -f1)
  printf '"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d' \
    $2 $digest $(stat -c %s $1)
  cp $1 layout/blobs/sha256/$digest
}
tar -C root -cf layer .
cat > config << END
{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},
"rootfs":{"type":"layers","diff_ids":["sha256:$(sha256sum < layer | cut -d' ' -f1)"]}}
END
cat > manifest << END
{"schemaVersion":2,"config":{$(blob config config.v1+json)},"layers":[{$(blob layer layer.v1.tar)}]}
END
cat > layout/index.json << END
{"schemaVersion":2,"manifests":[{$(blob manifest manifest.v1+json),
"annotations":{"org.opencontainers.image.ref.name":"test/passthrough:latest"}}]}
END
echo '{"imageLayoutVersion":"1.0.0"}' > layout/oci-layout
hull pull -q oci:layout:test/passthrough:latest)sh";

constexpr char kCleanUp[] = R"sh(
containers=$(hull ps -aq)
[ -z "$containers" ] || hull rm -f $containers > /dev/null
for address in $(hull device ls -q -a -f driver=vfio-pci); do
  hull device unbind $address > /dev/null
done
for functions in /sys/bus/pci/devices/*/sriov_numvfs; do
  [ "$(cat $functions)" = 0 ] || echo 0 > $functions
done
rm -rf /tmp/hull-passthrough
hull device ls -q -a -f driver=vfio-pci)sh";

// Of what has not ended, and of the host.
constexpr char kTellMore[] = R"sh(
hull ps -a
for directory in /run/hull/*/; do
  tail -n 20 $directory/console.log $directory/hull-vmm.log
done
dmesg | tail -n 15)sh";

// Waits until a container has said something. The file is asked, for each hull takes seconds here.
constexpr char kWaitLog[] = R"sh(
wait_log() {
  local log=/var/lib/hull/containers/$(hull inspect -f '{{.Id}}' $1)/container.log
  until grep -q "$2" $log 2> /dev/null; do sleep 0.3; done
}
)sh";

}  // namespace

std::string Says(const std::string& script) {
  const Ended ended = Shell("set -e; " + script);
  EXPECT_EQ(ended.exit_code, 0) << script << "\n" << ended;
  std::string out = ended.out;
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

bool Contains(const Ended& ended, const std::string& text) {
  return ended.out.find(text) != std::string::npos || ended.err.find(text) != std::string::npos;
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

void PassthroughTest::SetUpTestSuite() {
  const Ended made = Shell(kMakeImage);
  ASSERT_EQ(made.exit_code, 0) << made;
}

void PassthroughTest::TearDown() {
  if (HasFailure()) std::cout << Shell(kTellMore).out;
  const Ended cleaned = Shell(kCleanUp);
  EXPECT_EQ(cleaned.out, "") << "still bound to vfio-pci" << cleaned;
  HullTest::TearDown();
  // hull-vmm's end is not waited for by everybody who asks for it.
  for (int i = 0; i < 50 && PinnedPages() != "0"; ++i) ::usleep(100'000);
  EXPECT_EQ(PinnedPages(), "0") << "pages are still pinned";
}

std::vector<std::string> PassthroughTest::Find(const std::string& ids) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(kDevices)) {
    const std::string path = entry.path();
    if (FirstLine(path + "/vendor") + " " + FirstLine(path + "/device") == ids) {
      found.push_back(entry.path().filename());
    }
  }
  std::ranges::sort(found);
  EXPECT_FALSE(found.empty()) << "the lab has no device " << ids;
  if (found.empty()) found.emplace_back("none");
  return found;
}

std::string PassthroughTest::Edu() {
  for (const std::string& address : Find(kEduIds)) {
    if (!address.ends_with(".1")) return address;
  }
  ADD_FAILURE() << "the lab has no edu of its own group";
  return "none";
}

std::string PassthroughTest::GroupMate() {
  for (const std::string& address : Find(kEduIds)) {
    if (address.ends_with(".1")) return address;
  }
  ADD_FAILURE() << "the lab has no edu that shares a group";
  return "none";
}

std::string PassthroughTest::Disk(const std::string& serial) {
  return Says("for i in $(seq 100); do for c in /sys/class/nvme/nvme*; do if grep -q '^" + serial +
              " *$' $c/serial; then basename $(readlink -f $c/device); exit; fi; done; "
              "sleep 0.1; done; exit 1");
}

std::string PassthroughTest::Card(const std::string& mac) {
  return Says(
      "for i in $(seq 100); do for c in /sys/class/net/*; do if [ $(cat $c/address) = " + mac +
      " ]; then basename $(readlink -f $c/device); exit; fi; done; sleep 0.1; done; exit 1");
}

std::string PassthroughTest::DriverOf(const std::string& address) {
  return Says("basename $(readlink /sys/bus/pci/devices/" + address + "/driver || echo none)");
}

void PassthroughTest::Bind(const std::vector<std::string>& addresses) {
  std::vector<std::string> words = {"bind", "--force"};
  words.insert(words.end(), addresses.begin(), addresses.end());
  const Ended bound = Device(words);
  ASSERT_EQ(bound.exit_code, 0) << bound;
}

Ended PassthroughTest::Device(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"hull", "device"});
  return RunProgram(arguments);
}

Ended PassthroughTest::Run(const std::vector<std::string>& addresses,
                           const std::vector<std::string>& words, const RunOptions& options) {
  std::vector<std::string> all;
  for (const std::string& address : addresses)
    all.insert(all.end(), {"--device", "pci=" + address});
  all.insert(all.end(), words.begin(), words.end());
  return HullRun(all, options);
}

Ended PassthroughTest::Script(const std::vector<std::string>& addresses, const std::string& script,
                              const RunOptions& options) {
  std::string flags;
  for (const std::string& address : addresses) flags += " --device pci=" + address;
  RunOptions all = options;
  all.environment.push_back("device=" + addresses.at(0));
  all.environment.push_back("flags=" + flags);
  return Shell(kWaitLog + script, all);
}

bool PassthroughTest::HasIntelIommu() {
  return std::filesystem::exists("/sys/class/iommu/dmar0");
}

std::string PassthroughTest::KernelLog() {
  return Shell("dmesg").out;
}

void PassthroughTest::ClearKernelLog() {
  Shell("dmesg --clear");
}

std::string PassthroughTest::PinnedPages() {
  // What each processor has counted for itself comes in first.
  return Says(
      "cat /proc/sys/vm/stat_refresh; awk '/^nr_foll_pin_acquired/ {a = $2} "
      "/^nr_foll_pin_released/ {r = $2} END {print a - r}' "
      "/proc/vmstat");
}

}  // namespace hull::integration
