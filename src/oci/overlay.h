// SPDX-License-Identifier: Apache-2.0
// An overlay with more layers than the one page holds that mount(2) takes, by the newer calls of
// the kernel, which take one option at a time (fsopen(2), fsconfig(2); `lowerdir+` since
// Linux 6.7).
#pragma once

#include <string>
#include <vector>

namespace thinshim {

// `flags` (MS_*) and `data` as in MountOptions, split by split_data(). Throws Error with the
// kernel's reason.
void mount_long_overlay(const std::string& source, const std::string& target, unsigned long flags,
                        const std::vector<std::string>& data);

}  // namespace thinshim
