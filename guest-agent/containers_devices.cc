// What Create does with passed-through devices, modules and attachments.
#include <set>
#include <utility>

#include "guest-agent/attachments.h"
#include "guest-agent/containers.h"
#include "guest-agent/devices/module_job.h"
#include "guest-agent/kernel_log.h"
#include "vmm/base/escape.h"

namespace hull::agent {
namespace {

constexpr int kMaxDevices = 16;
constexpr std::chrono::seconds kDeviceWait{10};
constexpr size_t kMaxShownBytes = 64;
constexpr char kSysfs[] = "/sys";
constexpr char kProc[] = "/proc";

std::vector<std::string> ModulesOf(const v1::CreateRequest& request) {
  return {request.modules().begin(), request.modules().end()};
}

// NOT_FOUND and PERMISSION_DENIED are what is told of the command.
Error NotTheCommand(Error error) {
  if (error.code() != ErrorCode::kNotFound && error.code() != ErrorCode::kPermissionDenied) {
    return error;
  }
  return Error(ErrorCode::kFailed, error.ToString());
}

}  // namespace

Status Containers::ValidateExtras(const v1::CreateRequest& request) {
  if (request.devices_size() > kMaxDevices) {
    return Fail(ErrorCode::kInvalidArgument, "devices: {}; at most {} are possible",
                request.devices_size(), kMaxDevices);
  }
  std::set<std::string> addresses;
  for (int i = 0; i < request.devices_size(); ++i) {
    const std::string& address = request.devices(i).address();
    if (!IsPciAddress(address)) {
      return Fail(ErrorCode::kInvalidArgument, "devices[{}].address: '{}' is not a PCI address", i,
                  EscapeControl(address.substr(0, kMaxShownBytes)));
    }
    if (!addresses.insert(address).second) {
      return Fail(ErrorCode::kInvalidArgument, "devices[{}].address: {} is there twice", i,
                  address);
    }
  }
  HULL_TRY(ValidateModules(ModulesOf(request)));
  HULL_TRY(ValidateAttachments(request.attachments()));
  const bool any = request.devices_size() > 0 || request.modules_size() > 0;
  if (request.mount_only() && (any || request.attachments_size() > 0)) {
    return Fail(ErrorCode::kInvalidArgument,
                "mount_only: not with devices, modules or attachments, for nothing runs");
  }
  return {};
}

std::string Containers::AttachmentsOf(const Container& container) const {
  return fmt::format("{}/attachments/{}", places_.state_directory, container.id);
}

void Containers::LoadModules(const ContainerPtr& container,
                             const std::shared_ptr<v1::CreateRequest>& request,
                             const CreateReply& reply) {
  if (request->modules().empty()) return AwaitPassedDevices(container, request, reply);
  if (Status offered = OfferFirmware(container->rootfs(), container->firmware()); !offered) {
    return Discard(container, NotTheCommand(std::move(offered).error()), reply);
  }
  RunModuleJob(
      io_, reaper_, container->rootfs(), ModulesOf(*request), container->directory + "/modules",
      [this, container, request, reply,
       before = RegisteredNumbers::Read(kSysfs, kProc)](Status status) {
        if (!status) return Discard(container, std::move(status).error(), reply);
        container->brought = Compare(before, RegisteredNumbers::Read(kSysfs, kProc), kSysfs);
        AwaitPassedDevices(container, request, reply);
      });
}

void Containers::AwaitPassedDevices(const ContainerPtr& container,
                                    const std::shared_ptr<v1::CreateRequest>& request,
                                    const CreateReply& reply) {
  if (request->devices().empty() && container->brought.empty()) {
    return Launch(container, *request, reply);
  }
  if (!uevents_) {
    Result<std::unique_ptr<Uevents>> uevents = Uevents::Create(io_, [this](std::string_view path) {
      for (const auto& [id, each] : containers_) {
        if (each->devices) each->devices->Changed(path);
      }
    });
    if (!uevents) return Discard(container, NotTheCommand(std::move(uevents).error()), reply);
    uevents_ = std::move(*uevents);
  }
  std::vector<std::string> addresses;
  for (const v1::PassedDevice& device : request->devices()) addresses.push_back(device.address());
  container->devices =
      std::make_unique<PassedDevices>(io_, PassedDevices::Places(), std::move(addresses));
  container->devices->AlsoGive(std::move(container->brought));
  container->devices->Await(kDeviceWait, [this, container, request, reply](Status status) {
    if (!status) return Discard(container, std::move(status).error(), reply);
    Launch(container, *request, reply);
  });
}

Status Containers::GiveDevices(Container& container, int root, v1::CreateResponse& response) {
  const auto give = [&]() -> Status {
    HULL_ASSIGN(NodeDirectory directory, NodeDirectory::Open(root));
    HULL_ASSIGN(DeviceAccess access, DeviceAccess::Attach(container.cgroup.directory()));
    return container.devices->Follow(std::move(directory), std::move(access));
  };
  if (Status given = give(); !given) return Fail(NotTheCommand(std::move(given).error()));
  for (v1::DeviceReport& report : container.devices->Reports()) {
    LogInfo("container {}: device {}, driver {}, {} nodes", container.id, report.address(),
            report.driver().empty() ? "none" : report.driver(), report.nodes_size());
    *response.add_devices() = std::move(report);
  }
  return {};
}

}  // namespace hull::agent
