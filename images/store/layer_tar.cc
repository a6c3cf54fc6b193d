#include "images/store/layer_tar.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "images/digest/digest.h"
#include "images/import/recipe_format.h"
#include "images/store/child_process.h"
#include "images/store/layer_import.h"
#include "vmm/base/file.h"

namespace hull::images {

Result<RecipeHead> ReadRecipeHead(const StorePaths& paths, const std::string& diff_id) {
  const std::string path = paths.Recipe(diff_id);
  Result<UniqueFd> fd = OpenFile(path, O_RDONLY);
  if (!fd && fd.error().code() == ErrorCode::kNotFound) {
    return Fail(MakeError(ErrorCode::kUnsupported,
                          "layer {} was made by an older hull, which kept no way back to its tar",
                          diff_id)
                    .WithHint("pull the image again: the layer is then made anew"));
  }
  if (!fd) return Fail(std::move(fd).error());
  std::array<char, kRecipeHeaderBytes> header;
  const ssize_t count = ::pread(fd->get(), header.data(), header.size(), 0);
  if (count < 0) return FailErrno("read {}", path);
  if (static_cast<size_t>(count) != header.size() ||
      std::string_view(header.data(), kRecipeMagic.size()) != kRecipeMagic) {
    return Fail(ErrorCode::kCorrupt, "{} is damaged", path);
  }
  RecipeHead head;
  std::memcpy(&head.tar_bytes, header.data() + kRecipeMagic.size(), sizeof(head.tar_bytes));
  std::memcpy(&head.image_bytes, header.data() + kRecipeMagic.size() + sizeof(head.tar_bytes),
              sizeof(head.image_bytes));
  return head;
}

Result<uint64_t> TarBytes(const StorePaths& paths, const std::string& diff_id) {
  HULL_ASSIGN(const RecipeHead head, ReadRecipeHead(paths, diff_id));
  return head.tar_bytes;
}

Status WriteLayerTar(const StorePaths& paths, const std::string& importer,
                     const std::string& diff_id, uint64_t tar_bytes,
                     const std::function<Status(std::string_view)>& write) {
  HULL_ASSIGN(const UniqueFd recipe, OpenFile(paths.Recipe(diff_id), O_RDONLY));
  HULL_ASSIGN(const UniqueFd image, OpenFile(paths.Layer(diff_id), O_RDONLY));
  Sha256 hash;
  uint64_t done = 0;
  Command command;
  command.arguments = {importer, "rebuild"};
  command.input = recipe.get();
  command.extra = {image.get()};
  command.sink = [&](std::string_view piece) -> Status {
    // Never more than was promised: what follows in an archive would not be what it says.
    if (piece.size() > tar_bytes - done)
      return Fail(ErrorCode::kCorrupt, "layer {} gives too many bytes", diff_id);
    done += piece.size();
    hash.Update(piece);
    return write(piece);
  };
  HULL_ASSIGN(const CommandResult result, RunCommand(command));
  if (result.exit_code != 0) {
    return Fail(ErrorCode::kCorrupt, "layer {} cannot be turned back into its tar: {}", diff_id,
                ParseImporterError(result.errors).message());
  }
  if (done != tar_bytes || hash.Finish() != diff_id)
    return Fail(ErrorCode::kCorrupt, "layer {} is damaged: its tar is another one", diff_id);
  return {};
}

}  // namespace hull::images
