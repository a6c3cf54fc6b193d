// Tries a display adapter from inside a container, by nothing but the kernel's own interface: which
// driver is it, does its memory keep what is written, does it show a picture where the device's
// registers say. Says one line a step.
//
// Exit status: 0 if every step worked, 1 otherwise. Made for QEMU's standard VGA with the driver
// bochs-drm; the steps that look at that device's registers and memory are left out for others.
#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

constexpr const char* kDriverOfTheSample = "bochs-drm";

// QEMU, docs/specs/standard-vga.rst: BAR 0 is the video memory, BAR 2 holds the registers of the
// Bochs display interface as 16-bit words from 0x500 on.
constexpr size_t kRegisterBarBytes = 4096;
constexpr size_t kDisplayRegisters = 0x500;
enum DisplayRegister : size_t {
  kXRes = 1,
  kYRes = 2,
  kBitsPerPixel = 3,
  kVirtualWidth = 6,
  kXOffset = 8,
  kYOffset = 9
};

bool Report(const char* step, bool good, const std::string& detail) {
  std::printf("%s: %s%s\n", step, good ? "" : "FAILED: ", detail.c_str());
  return good;
}

bool Failed(const char* step, const std::string& what) {
  return Report(step, false, what + ": " + std::strerror(errno));
}

template <typename Argument>
bool Call(int fd, unsigned long request, Argument& argument) {
  int result = -1;
  do {
    result = ::ioctl(fd, request, &argument);
  } while (result < 0 && (errno == EINTR || errno == EAGAIN));
  return result == 0;
}

// A file mapped shared, for as long as the object lives.
class Mapping {
 public:
  Mapping(int fd, off_t offset, size_t bytes, int protection)
      : address_(::mmap(nullptr, bytes, protection, MAP_SHARED, fd, offset)), bytes_(bytes) {}
  ~Mapping() {
    if (ok()) ::munmap(address_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  bool ok() const { return address_ != MAP_FAILED; }
  // Device memory: every access is to happen as written.
  template <typename Word>
  volatile Word* words() const {
    return static_cast<volatile Word*>(address_);
  }

 private:
  void* address_;
  size_t bytes_;
};

// A picture in a buffer that the driver gave: `pitch` bytes a line, 32 bits a pixel.
struct Picture {
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t pitch = 0;
  uint32_t handle = 0;
  uint64_t bytes = 0;
};

// Differs from pixel to pixel and from line to line; `seed` tells two pictures apart. The top byte
// is nobody's.
uint32_t Pixel(uint32_t x, uint32_t y, uint32_t seed) {
  return ((x * 2654435761U) ^ (y * 40503U) ^ seed) & 0x00ffffffU;
}

void Draw(volatile uint32_t* words, const Picture& picture, uint32_t seed) {
  for (uint32_t y = 0; y < picture.height; ++y) {
    volatile uint32_t* const line = words + size_t{y} * (picture.pitch / 4);
    for (uint32_t x = 0; x < picture.width; ++x) line[x] = Pixel(x, y, seed);
  }
}

// The number of pixels that are not as drawn.
uint64_t Differences(const volatile uint32_t* words, const Picture& picture, uint32_t seed) {
  uint64_t count = 0;
  for (uint32_t y = 0; y < picture.height; ++y) {
    const volatile uint32_t* const line = words + size_t{y} * (picture.pitch / 4);
    for (uint32_t x = 0; x < picture.width; ++x) {
      if ((line[x] & 0x00ffffffU) != Pixel(x, y, seed)) ++count;
    }
  }
  return count;
}

std::string Size(const Picture& picture) {
  return std::to_string(picture.width) + "x" + std::to_string(picture.height);
}

// --- The steps -----------------------------------------------------------------------------------

std::optional<std::string> TellDriver(int fd) {
  std::array<char, 64> name{};
  drm_version version{};
  version.name = name.data();
  version.name_len = name.size() - 1;
  if (!Call(fd, DRM_IOCTL_VERSION, version)) {
    Failed("driver", "DRM_IOCTL_VERSION");
    return std::nullopt;
  }
  Report("driver", true,
         std::string(name.data()) + " " + std::to_string(version.version_major) + "." +
             std::to_string(version.version_minor) + "." +
             std::to_string(version.version_patchlevel));
  return name.data();
}

// The first connector with a screen, its first mode (the one that it prefers), and a CRTC for it.
struct Screen {
  uint32_t connector = 0;
  uint32_t crtc = 0;
  drm_mode_modeinfo mode{};
};

std::optional<Screen> FindScreen(int fd) {
  drm_mode_card_res counts{};
  if (!Call(fd, DRM_IOCTL_MODE_GETRESOURCES, counts)) return std::nullopt;
  std::vector<uint32_t> crtcs(counts.count_crtcs);
  std::vector<uint32_t> connectors(counts.count_connectors);
  drm_mode_card_res resources{};
  resources.crtc_id_ptr = reinterpret_cast<uintptr_t>(crtcs.data());
  resources.count_crtcs = counts.count_crtcs;
  resources.connector_id_ptr = reinterpret_cast<uintptr_t>(connectors.data());
  resources.count_connectors = counts.count_connectors;
  if (!Call(fd, DRM_IOCTL_MODE_GETRESOURCES, resources) || crtcs.empty()) return std::nullopt;
  for (const uint32_t id : connectors) {
    // Asked without room for modes, the driver looks for a screen first.
    drm_mode_get_connector probe{};
    probe.connector_id = id;
    if (!Call(fd, DRM_IOCTL_MODE_GETCONNECTOR, probe) || probe.count_modes == 0) continue;
    std::vector<drm_mode_modeinfo> modes(probe.count_modes);
    drm_mode_get_connector connector{};
    connector.connector_id = id;
    connector.count_modes = probe.count_modes;
    connector.modes_ptr = reinterpret_cast<uintptr_t>(modes.data());
    if (!Call(fd, DRM_IOCTL_MODE_GETCONNECTOR, connector) || connector.count_modes == 0) continue;
    return Screen{id, crtcs.front(), modes.front()};
  }
  errno = ENODEV;
  return std::nullopt;
}

std::optional<Picture> MakeBuffer(int fd, uint32_t width, uint32_t height) {
  drm_mode_create_dumb create{};
  create.width = width;
  create.height = height;
  create.bpp = 32;
  if (!Call(fd, DRM_IOCTL_MODE_CREATE_DUMB, create)) {
    Failed("buffer", "DRM_IOCTL_MODE_CREATE_DUMB");
    return std::nullopt;
  }
  return Picture{width, height, create.pitch, create.handle, create.size};
}

std::optional<off_t> OffsetOf(int fd, const Picture& picture) {
  drm_mode_map_dumb map{};
  map.handle = picture.handle;
  if (!Call(fd, DRM_IOCTL_MODE_MAP_DUMB, map)) {
    Failed("buffer", "DRM_IOCTL_MODE_MAP_DUMB");
    return std::nullopt;
  }
  return static_cast<off_t>(map.offset);
}

bool Show(int fd, const Screen& screen, const Picture& picture) {
  drm_mode_fb_cmd framebuffer{};
  framebuffer.width = picture.width;
  framebuffer.height = picture.height;
  framebuffer.pitch = picture.pitch;
  framebuffer.bpp = 32;
  framebuffer.depth = 24;
  framebuffer.handle = picture.handle;
  if (!Call(fd, DRM_IOCTL_MODE_ADDFB, framebuffer)) return Failed("mode", "DRM_IOCTL_MODE_ADDFB");
  uint32_t connector = screen.connector;
  drm_mode_crtc crtc{};
  crtc.crtc_id = screen.crtc;
  crtc.fb_id = framebuffer.fb_id;
  crtc.set_connectors_ptr = reinterpret_cast<uintptr_t>(&connector);
  crtc.count_connectors = 1;
  crtc.mode = screen.mode;
  crtc.mode_valid = 1;
  if (!Call(fd, DRM_IOCTL_MODE_SETCRTC, crtc)) return Failed("mode", "DRM_IOCTL_MODE_SETCRTC");
  return Report("mode", true, std::string(screen.mode.name) + " is set");
}

// --- The sample's device, past its driver
// ----------------------------------------------------------

// The directory in sysfs of the PCI function that `fd`, a DRM node, belongs to.
std::string FunctionOf(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return "";
  return "/sys/dev/char/" + std::to_string(major(status.st_rdev)) + ":" +
         std::to_string(minor(status.st_rdev)) + "/device";
}

uint64_t BarBytes(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

// Says where in video memory the picture begins that the device shows, if it is this one.
std::optional<uint64_t> LookAtRegisters(const std::string& function, const Picture& picture) {
  const int fd = ::open((function + "/resource2").c_str(), O_RDONLY | O_CLOEXEC);
  const Mapping bar(fd, 0, kRegisterBarBytes, PROT_READ);
  if (fd >= 0) ::close(fd);
  if (!bar.ok()) {
    Failed("registers", function + "/resource2");
    return std::nullopt;
  }
  const volatile uint16_t* const registers = bar.words<uint16_t>() + kDisplayRegisters / 2;
  const bool same = registers[kXRes] == picture.width && registers[kYRes] == picture.height &&
                    registers[kBitsPerPixel] == 32;
  Report("registers", same,
         std::to_string(registers[kXRes]) + "x" + std::to_string(registers[kYRes]) + ", " +
             std::to_string(registers[kBitsPerPixel]) + " bits a pixel");
  if (!same) return std::nullopt;
  return (uint64_t{registers[kYOffset]} * registers[kVirtualWidth] + registers[kXOffset]) * 4;
}

bool LookAtMemory(const std::string& function, const Picture& picture, uint64_t offset,
                  uint32_t seed) {
  const std::string path = function + "/resource0";
  const uint64_t bytes = BarBytes(path);
  if (offset % 4 != 0 || offset > bytes || bytes - offset < picture.bytes) {
    return Report("memory", false, "the picture is not within the BAR");
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const Mapping bar(fd, 0, bytes, PROT_READ);
  if (fd >= 0) ::close(fd);
  if (!bar.ok()) return Failed("memory", path);
  const uint64_t wrong = Differences(bar.words<uint32_t>() + offset / 4, picture, seed);
  return Report("memory", wrong == 0,
                wrong == 0 ? "the picture is in BAR 0 (" + std::to_string(bytes >> 20) +
                                 " MiB) at " + std::to_string(offset)
                           : std::to_string(wrong) + " pixels of BAR 0 are not the picture's");
}

bool Try(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return Failed("open", path);
  const std::optional<std::string> driver = TellDriver(fd);
  if (!driver) return false;
  const std::optional<Screen> screen = FindScreen(fd);
  if (!screen) return Failed("screen", "no connector has a mode");
  const std::optional<Picture> picture =
      MakeBuffer(fd, screen->mode.hdisplay, screen->mode.vdisplay);
  const std::optional<off_t> offset = picture ? OffsetOf(fd, *picture) : std::nullopt;
  if (!offset) return false;
  const Mapping buffer(fd, *offset, picture->bytes, PROT_READ | PROT_WRITE);
  if (!buffer.ok()) return Failed("buffer", "mmap");
  constexpr uint32_t kHidden = 0x00123456, kShown = 0x00abcdef;
  Draw(buffer.words<uint32_t>(), *picture, kHidden);
  const uint64_t wrong = Differences(buffer.words<uint32_t>(), *picture, kHidden);
  if (!Report("buffer", wrong == 0,
              wrong == 0 ? Size(*picture) + ", written and read back"
                         : std::to_string(wrong) + " pixels were not kept")) {
    return false;
  }
  // Whoever opens the device first is its master and may set modes.
  if (!Show(fd, *screen, *picture)) return false;
  if (*driver != kDriverOfTheSample) return true;
  const std::string function = FunctionOf(fd);
  const std::optional<uint64_t> start = LookAtRegisters(function, *picture);
  if (!start) return false;
  // The device clears its memory when a mode is set. From now on the buffer is what it shows, and
  // writing to one is writing to the other.
  Draw(buffer.words<uint32_t>(), *picture, kShown);
  return LookAtMemory(function, *picture, *start, kShown);
}

}  // namespace

int main(int argument_count, char** arguments) {
  const std::span<char*> all(arguments, static_cast<size_t>(argument_count));
  const bool good = Try(all.size() > 1 ? all[1] : "/dev/dri/card0");
  std::printf("%s\n", good ? "ok" : "not ok");
  return good ? 0 : 1;
}
