// SPDX-License-Identifier: Apache-2.0
// Wakeup: the intrusive list node of suspended work. It is in one list at a time: that of its event
// or descriptor, or the ready queue. post() moves it to the ready queue. The destructor unlinks it,
// so destroying a coroutine frame cancels its wait.
//
// Only the Loop runs ready nodes, outside libuv's callbacks. So Event::set() never runs its waiters
// inside the caller, and the stack depth does not grow with chains of wakeups.
#pragma once

#include <coroutine>

namespace thinshim {

class WakeupList;

class Wakeup {
 public:
  Wakeup() = default;
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // Resumes the work. Called by the loop only, after it has removed the node from the ready queue.
  virtual void run() = 0;

  // Moves the node to the end of the ready queue. No effect if it is there already.
  void post();

 protected:
  virtual ~Wakeup() { unlink(); }

 private:
  friend class WakeupList;
  void unlink() {
    if (!next_) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
    list_ = nullptr;
  }
  Wakeup* next_ = nullptr;
  Wakeup* previous_ = nullptr;
  WakeupList* list_ = nullptr;
};

// A circular list with a sentinel. The destructor unlinks its nodes, which are never run then.
class WakeupList {
 public:
  WakeupList() { end_.next_ = end_.previous_ = &end_; }
  ~WakeupList() {
    while (pop()) {
    }
    end_.next_ = end_.previous_ = nullptr;
  }

  bool empty() const { return end_.next_ == &end_; }
  void push(Wakeup& node) {
    node.unlink();
    node.list_ = this;
    node.next_ = &end_;
    node.previous_ = end_.previous_;
    end_.previous_->next_ = &node;
    end_.previous_ = &node;
  }
  // Removes and returns the oldest node; nullptr if the list is empty.
  Wakeup* pop() {
    if (empty()) return nullptr;
    Wakeup* first = end_.next_;
    first->unlink();
    return first;
  }
  void post_all() {
    while (Wakeup* node = pop()) node->post();
  }

 private:
  struct End final : Wakeup {
    void run() override {}
  };
  End end_;
};

// Global: the program has one thread and one loop.
inline WakeupList ready_queue;

inline void Wakeup::post() {
  if (list_ != &ready_queue) ready_queue.push(*this);
}

// The node of a suspended coroutine, in the frame that it resumes.
struct CoroutineWakeup final : Wakeup {
  std::coroutine_handle<> frame;
  void run() override { frame.resume(); }
};

}  // namespace thinshim
