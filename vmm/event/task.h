// Task: something to do once, which may own what it needs (std::function wants copies).
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace hull {

class Task {
 public:
  Task() = default;
  // Implicit: written as a lambda at the call. Never chosen for a Task.
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Task> && std::is_invocable_v<F&>)
  Task(F&& function)  // NOLINT(google-explicit-constructor,bugprone-forwarding-reference-overload)
      : body_(std::make_unique<Body<std::decay_t<F>>>(std::forward<F>(function))) {}

  explicit operator bool() const { return body_ != nullptr; }
  // Runs it and lets go of what it owned. Only while it holds something.
  void operator()() {
    const std::unique_ptr<Base> body = std::move(body_);
    body->Run();
  }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void Run() = 0;
  };
  template <typename F>
  struct Body final : Base {
    explicit Body(F f) : function(std::move(f)) {}
    void Run() override { function(); }
    F function;
  };

  std::unique_ptr<Base> body_;
};

}  // namespace hull
