#include "runtime/container_files.h"

#include <utility>

#include "guest-agent/protocol/agent_service.h"
#include "runtime/container_lock.h"
#include "runtime/guest_stream.h"

namespace hull {
namespace {

constexpr int kDialTimeoutMs = 60'000;

}  // namespace

Result<std::unique_ptr<ContainerFiles>> ContainerFiles::Open(const Containers& containers,
                                                             const ContainerRecord& record) {
  std::unique_ptr<ContainerFiles> files(new ContainerFiles(containers, record.id));
  if (!IsRunning(record)) {
    HULL_ASSIGN(files->maintenance_, MaintenanceSandbox::Start(containers, record));
    return files;
  }
  HULL_ASSIGN(UniqueFd socket, containers.DialGuest(record.id, agent::kAgentPort, kDialTimeoutMs));
  HULL_ASSIGN(files->agent_, AgentClient::Adopt(files->io_, std::move(socket)));
  return files;
}

Result<std::optional<agent::v1::StatResponse>> ContainerFiles::Stat(const std::string& path,
                                                                    bool follow_link) {
  Result<agent::v1::StatResponse> found = agent().Stat(id_, path, follow_link);
  if (found) return std::optional(std::move(*found));
  if (found.error().code() == ErrorCode::kNotFound) return std::nullopt;
  return Fail(std::move(found).error());
}

Result<UniqueFd> ContainerFiles::OpenArchive(const agent::v1::Archive& archive) {
  agent::v1::StreamOpen open;
  open.set_container_id(id_);
  *open.mutable_archive() = archive;
  return DialGuestStream(containers_, open);
}

Status ContainerFiles::Finish() {
  return maintenance_ ? maintenance_->Finish() : Status();
}

}  // namespace hull
