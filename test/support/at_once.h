// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "task/service.h"

namespace thinshim::test {

// For TaskService::Settings::read_options, if the options are known.
inline Task<TaskService::Options> at_once(TaskService::Options options) { co_return options; }

}  // namespace thinshim::test
