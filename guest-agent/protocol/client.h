// The calling side of a ttrpc connection, over a connected stream socket (vsock or Unix).
//
// Asynchronous:   client->Call<StartResponse>("hull.agent.v1.Agent", "Start", request, timeout,
// handler); Synchronous:    Result<StartResponse> r = client->CallAndWait<StartResponse>(service,
// "Start", request, timeout); Any number of calls may be under way at once. Lives on the loop that
// runs its io_context; not thread-safe.
#pragma once

#include <google/protobuf/message_lite.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::ttrpc {

// "Wait as long as it takes": for Wait. The call still ends when the connection does.
inline constexpr std::chrono::milliseconds kNoTimeout{0};

class Client {
 public:
  // The payload of the response, or:
  //   the error that the server answered, its code by ErrorCodeOf() and its message as it came;
  //   kTimedOut: no answer in time (a late answer is dropped; the connection stays usable);
  //   kUnavailable: the connection ended first; kCorrupt: because the peer broke the protocol;
  //   kCancelled: the client was destroyed; kExhausted: the request is larger than 4 MiB.
  using RawHandler = std::function<void(Result<std::string>)>;

  // Takes over `socket`, connected, stream. `io` must outlive the client.
  static Result<std::unique_ptr<Client>> Create(boost::asio::io_context& io, UniqueFd socket);

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  // Closes the connection. Handlers of calls under way are posted to the io_context with
  // kCancelled.
  ~Client();

  // Called once, on the loop, when the connection ends other than by destruction; at once (posted)
  // if it has ended already. The Error says why; a peer that closed in order is kUnavailable.
  void OnClosed(std::function<void(Error)> handler);

  bool closed() const;

  // `handler` is called exactly once, on the loop, never from within this function.
  void CallRaw(std::string_view service, std::string_view method, std::string payload,
               std::chrono::milliseconds timeout, RawHandler handler);

  template <typename Response>
  void Call(std::string_view service, std::string_view method,
            const google::protobuf::MessageLite& request, std::chrono::milliseconds timeout,
            std::function<void(Result<Response>)> handler) {
    CallRaw(service, method, request.SerializeAsString(), timeout,
            [handler = std::move(handler)](Result<std::string> payload) {
              handler(Parse<Response>(std::move(payload)));
            });
  }

  // Runs the io_context until this call is answered; other handlers of that context run meanwhile.
  // Not to be called from a handler of the same context.
  Result<std::string> CallRawAndWait(std::string_view service, std::string_view method,
                                     std::string payload, std::chrono::milliseconds timeout);

  template <typename Response>
  Result<Response> CallAndWait(std::string_view service, std::string_view method,
                               const google::protobuf::MessageLite& request,
                               std::chrono::milliseconds timeout) {
    return Parse<Response>(CallRawAndWait(service, method, request.SerializeAsString(), timeout));
  }

 private:
  class Impl;
  explicit Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  template <typename Response>
  static Result<Response> Parse(Result<std::string> payload) {
    if (!payload) return Fail(std::move(payload).error());
    Response response;
    if (!response.ParseFromString(*payload)) {
      return Fail(ErrorCode::kCorrupt, "the answer is not the message that was expected");
    }
    return response;
  }

  std::shared_ptr<Impl> impl_;
};

}  // namespace hull::ttrpc
