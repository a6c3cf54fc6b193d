// What a container sees of its devices in /dev, from the first moment on and later.
#include <string>

#include "tests/integration/passthrough_fixture.h"

namespace hull::integration {
namespace {

// A controller with siblings: the kernel hangs its namespaces under the subsystem, not under the
// device. The agent follows what the kernel announces, so a moment may pass.
constexpr const char* kNamespaces = R"sh(cd /dev; controller=$(cat /sys/class/nvme/nvme0/cntlid)
namespaces() { nvme "$1-ns" /dev/nvme0 -n "$2" -c "$controller" > /dev/null; nvme ns-rescan /dev/nvme0; }
wait_for() { # WHAT [PATTERN]
  for i in $(seq 50); do [ "$(echo ${2:-nvme*})" = "$1" ] && break; sleep 0.1; done
  echo ${2:-nvme*}
}
echo nvme*
namespaces attach 1; wait_for 'nvme0 nvme0n1'
namespaces attach 2; wait_for 'nvme0 nvme0n1 nvme0n2'
printf 'label: gpt\nsize=4M\nsize=4M\n' | sfdisk -q nvme0n1; wait_for 'nvme0n1p1 nvme0n1p2' 'nvme0n1?*'
mkfs.ext4 -q nvme0n1p1 && echo usable
sfdisk -q --delete nvme0n1; wait_for nvme0n1 'nvme0n1*'
printf 'label: dos\nsize=8M\n' | sfdisk -q nvme0n1; wait_for nvme0n1p1 'nvme0n1?*'
dd if=/dev/zero of=nvme0n1 bs=1M count=16 2> /dev/null
namespaces detach 2; wait_for 'nvme0 nvme0n1 nvme0n1p1'
namespaces detach 1; wait_for nvme0
)sh";

TEST_F(PassthroughTest, NamespacesAndPartitionsComeAndGoWhileAContainerRuns) {
  const std::string disk = Disk("virtual");
  Bind({disk});
  const Ended ended = Run({disk}, {"--cap-add", "SYS_ADMIN", kToolsImage, "sh", "-c", kNamespaces});
  EXPECT_EQ(ended.out,
            "nvme0\nnvme0 nvme0n1\nnvme0 nvme0n1 nvme0n2\n"
            "nvme0n1p1 nvme0n1p2\nusable\nnvme0n1\nnvme0n1p1\n"
            "nvme0 nvme0n1 nvme0n1p1\nnvme0\n")
      << ended;
}

// Its own disks among them: what a container changed is read by the guest's kernel alone.
constexpr const char* kTryOthers = R"sh(for number in /sys/class/block/*/dev; do
  node=/tmp/$(basename "$(dirname "$number")")
  mknod "$node" b $(tr : ' ' < "$number") && head -c 1 "$node" > /dev/null 2>&1 && echo "opened $node"
done
mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg; ls /tmp | wc -l; ls /dev/vd* /dev/pmem* 2> /dev/null)sh";

TEST_F(PassthroughTest, OtherDevicesOfTheMachineStayRefused) {
  const std::string disk = Disk("data");
  Bind({disk});
  const Ended ended = Run({disk}, {kToolsImage, "sh", "-c", kTryOthers});
  EXPECT_TRUE(ended.out.starts_with("opened /tmp/nvme0n1\n")) << "its own: " << ended;
  EXPECT_EQ(Count(ended.out, "opened"), 1U) << ended;
  EXPECT_TRUE(Contains(ended, "/tmp/kmsg': Operation not permitted")) << ended;
  EXPECT_EQ(ended.out.find("/dev/"), std::string::npos) << ended;
  // The root, a disk, the layers and kmsg, at least.
  const std::string tried = ended.out.substr(ended.out.find('\n') + 1);
  EXPECT_GE(std::stoi("0" + tried), 4) << ended;
}

TEST_F(PassthroughTest, ADriverThatTheImageBringsMakesItsNodes) {
  const std::vector<std::string> displays = Find(kVgaIds);
  Bind(displays);
  const Ended without = Run(displays, {"sample/gpu", "ls", "/dev/dri"});
  EXPECT_NE(without.exit_code, 0) << without;
  EXPECT_TRUE(Contains(without, "has no driver in the guest")) << without;
  const Ended ended = Run(displays, {"--annotation", "hull.modules=bochs", "sample/gpu", "sh", "-c",
                                     "ls /dev/dri; drm-check"});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(ended.out.starts_with("card0\ncard1\n")) << ended;
  EXPECT_TRUE(ended.out.ends_with("ok\n")) << ended;
}

TEST_F(PassthroughTest, AModuleThatTheImageLacksIsNamedWithTheKernelItIsFor) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended none = Run({edu}, {"--annotation", "hull.modules=bochs", kToolsImage, "true"});
  EXPECT_EQ(none.exit_code, 125) << none;
  EXPECT_TRUE(
      Contains(none, "module bochs: the image has no modules for the guest's kernel, 6.12."))
      << none;
  const Ended other = Run({edu}, {"--annotation", "hull.modules=other", "sample/gpu", "true"});
  EXPECT_EQ(other.exit_code, 125) << other;
  EXPECT_TRUE(Contains(other, "module other: the image's modules.dep does not have it")) << other;
}

}  // namespace
}  // namespace hull::integration
