// SPDX-License-Identifier: Apache-2.0
// How a suspended piece of work is told to go on: a node that waits in one list at a time, either
// on that for which it waits (an Event, a descriptor) or on the ready queue. Posting moves it to
// the ready queue; its destructor takes it out of whatever list it is in, so destroying a coroutine
// frame is all there is to cancelling it.
//
// Only Loop runs what is ready, between libuv's callbacks. Hence setting an event never runs a
// stranger's code inside yours, and the stack depth does not depend on who wakes whom.
#pragma once

#include <coroutine>

namespace thinshim {

class WakeupList;

class Wakeup {
 public:
  Wakeup() = default;
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // Goes on with the work. Called by the loop only, after the node has left the ready queue.
  virtual void run() = 0;

  // Moves the node to the end of the ready queue; where it is ready already, it keeps its place.
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

// A circular list with a sentinel. Destroying it leaves its nodes waiting for nothing.
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
  // The node that has waited longest, taken out; nullptr where none waits.
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

// One per process, as the program has one thread and one loop.
inline WakeupList ready_queue;

inline void Wakeup::post() {
  if (list_ != &ready_queue) ready_queue.push(*this);
}

// The node of a suspended coroutine; it lives in the frame that it resumes.
struct CoroutineWakeup final : Wakeup {
  std::coroutine_handle<> frame;
  void run() override { frame.resume(); }
};

}  // namespace thinshim
