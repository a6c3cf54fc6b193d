// The image store: OCI images on this host, each layer as one EROFS file that every image and every
// VM shares.
//
// On disk, under `<root>/images` (everything appears by rename, so a reader needs no lock and a
// kill at any moment leaves nothing half made):
//   layers/sha256-<diff id>.erofs   one layer, read-only, never changed once it is there
//   blobs/sha256-<digest>           manifests and configurations, byte for byte as they came
//   images/sha256-<image id>.json   one image: what it is made of
//   names.json                      which name means which image
//   locks/, tmp/                    of running commands; what a killed one left goes with the next
// A Store on a read-only file system can List and Resolve.
//
// What nothing names any more (layers, manifests, configurations) is removed at the end of every
// change, save for what containers use. A change that is killed is finished or undone by the next
// command: `tmp/` tells that there was one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "images/store/reference.h"
#include "vmm/base/result.h"

namespace hull::images {

struct Layer {
  std::string diff_id;      // "sha256:<64 hex>": digest of the uncompressed tar
  std::string path;         // the EROFS file, absolute if the store's root is
  uint64_t size_bytes = 0;  // of the EROFS file
};

struct Image {
  std::string id;                    // "sha256:<64 hex>": digest of the configuration
  std::vector<std::string> names;    // full, sorted: "docker.io/library/busybox:latest"
  std::vector<std::string> digests;  // digests[i]: what names[i] stood for, a manifest or an index
  std::string digest;  // of what the name stood for where it came from: a manifest or an index
  std::string
      manifest_digest;      // of the image's own manifest; equals `digest` when there was no index
  std::string created;      // RFC 3339 as the configuration has it; may be empty
  uint64_t size_bytes = 0;  // sum of the layers
  std::string config;       // the OCI image configuration: verified JSON text, an object
  std::vector<Layer> layers;  // lowest first

  // From Pull alone.
  std::string
      pulled_name;      // full: the name it has now; empty when neither source nor options gave one
  bool is_new = false;  // the name stood for something else before, or for nothing
};

struct PullProgress {
  enum class Phase {
    kResolve,  // asking what the name stands for
    kFetch,    // bytes of `subject` arriving; the numbers are those of the whole image
    kImport,   // making layer `subject`; the numbers are compressed bytes of that layer
    kExists,   // layer `subject` is in the store already
    kDone,     // layer `subject` is in the store now
  };
  Phase phase = Phase::kResolve;
  std::string subject;  // a digest, or empty
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;  // 0: not known
};

// Refusals that protect the host from an image. An image beyond them is kExhausted.
struct ImportLimits {
  uint64_t layer_bytes = uint64_t{64} << 30;  // uncompressed, one layer
  uint64_t layer_entries = 4'000'000;         // files, directories, links in one layer
  uint64_t manifest_bytes = uint64_t{4} << 20;
  uint64_t config_bytes = uint64_t{8} << 20;
  uint32_t layers = 250;  // what one disk of a VM has partitions for
};

struct PullOptions {
  // May be empty. Called by one thread at a time, not always by the calling one.
  std::function<void(const PullProgress&)> progress;
  // What an index is searched for; an image for anything else is refused.
  std::string os = "linux";
  std::string architecture = "amd64";
  std::string variant;
  // The name to give the image, instead of the one it came with. Normalised as docker does.
  std::string name;
  // Passed to skopeo: the rest (mirrors, insecure registries, signatures) is in
  // containers-registries.conf(5) and containers-policy.json(5).
  std::optional<bool> tls_verify;  // not set: what registries.conf says of the registry
  std::string auth_file;           // empty: skopeo's own search
  std::string credentials;         // "USER[:PASSWORD]"; empty: those of the file
  std::string signature_policy;    // empty: the host's policy.json
  ImportLimits limits;
};

// What containers use of the store.
struct InUse {
  struct User {
    std::string image_id;  // "sha256:<64 hex>"
    std::string container_id;
    bool running = false;  // or paused
  };
  std::vector<User> users;
  std::set<std::string, std::less<>> layer_files;  // names of files in layers/, without directory
};

// Asked while the store is locked. An error keeps everything where it is.
using InUseReader = std::function<Result<InUse>()>;

// What an untagging or a removal did, in docker's order.
struct Removal {
  enum class Kind { kUntagged, kDeleted };
  Kind kind = Kind::kDeleted;
  std::string what;  // a name as docker shows it, an image's id, or a layer's digest
};

struct RemovalReport {
  std::vector<Removal> removals;
  uint64_t freed_bytes = 0;  // on the disk
};

// What `load` brought.
struct Loaded {
  std::string id;
  std::vector<std::string> names;  // full
};

enum class ArchiveFormat { kDocker, kOci };

struct PruneOptions {
  bool all = false;  // images with names as well; without: only those that have none
  // Which of them may go (filters by age or label); empty: all.
  std::function<bool(const Image&)> matches;
};

// hull-import: HULL_IMPORT, or beside the running executable.
std::string ImporterProgram();

class Store {
 public:
  // `root` is hull's directory (/var/lib/hull). What is missing in it is made by the first Pull.
  // `importer`: the hull-import program; empty: ImporterProgram().
  static Result<Store> Open(std::string root, std::string importer = "");

  // By name ("busybox", "busybox:1.36", "registry:5000/a/b@sha256:..."), by image id or by a unique
  // prefix of one. kNotFound when there is none, kInvalidArgument for what is neither name nor id.
  Result<Image> Resolve(std::string_view name_or_id) const;

  // Whether files of layers/ (names without directory) are there, for a container whose record
  // names them already: from then on nothing takes them, but a removal that had asked who uses what
  // before the record was there still does. Waits for such a removal. kNotFound: one is gone.
  Status CheckLayers(const std::vector<std::string>& layer_files) const;

  // All images, newest first.
  Result<std::vector<Image>> List() const;

  // Gets an image and all its layers, and names it. Blocks. `reference` is a docker name (docker://
  // may stand before it), oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]. On
  // an error the store is as it was; without a reader of what containers use (below), save for
  // whole, verified layers that came in before it.
  Result<Image> Pull(std::string_view reference, const PullOptions& options);

  // The tags of a registry's repository ("busybox", "registry:5000/a/b").
  Result<std::vector<std::string>> RemoteTags(std::string_view repository,
                                              const PullOptions& options) const;

  // Whoever changes the store gives it this: without it, nothing is ever removed from layers/.
  void SetInUseReader(InUseReader reader) { in_use_ = std::move(reader); }

  // Docker's `rmi`. A name is taken away, and with its last name the image; by id, an image goes
  // with its name if it has no other. kFailed, in docker's words, when there are several names and
  // an id, or a container uses the image; `force` overrules all but a running container. Layers
  // that a container uses stay on the disk in any case.
  Result<RemovalReport> Remove(std::string_view name_or_id, bool force);

  // Gives the image a further name, which may have stood for another one.
  Status Tag(std::string_view name_or_id, std::string_view name);

  // Removes images that no container uses.
  Result<RemovalReport> Prune(const PruneOptions& options);

  // Reads all images of an archive (docker's or OCI's, plain, gzip or zstd) from `fd`, or of the
  // layout in the directory that it is open on, with the names that they have there. `options`:
  // progress, limits and platform count. On an error the images before it have been loaded.
  Result<std::vector<Loaded>> Load(int fd, const PullOptions& options);

  // Writes images as an archive, to `write` in pieces. Of a name without a tag, all tags. Layers
  // come out as the tars they were, byte for byte: kUnsupported when one has no way back, kCorrupt
  // when it turns out to be another.
  Status Save(const std::vector<std::string>& names, ArchiveFormat format,
              const std::function<Status(std::string_view)>& write) const;

  // Clears away what killed commands left. Costs the reading of one directory when there is
  // nothing. A store that cannot be written is left as it is.
  Status Tidy();

 private:
  Store(std::string root, std::string importer);

  std::string root_;  // <root>/images
  std::string importer_;
  InUseReader in_use_;
};

}  // namespace hull::images
