// As many steps of minimal residuals as there is nothing to decide between.
#pragma once
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "streams.h"

namespace mgnet {

struct StepsAhead {
    const double* size;  // (batch) what residuals are relative to
    double tol, enough;  // how small they are to be, and in a step of what they were
    long most;
};

// history : (1, batch) the norms to begin with; a row is added for each step
inline void advanced(Streams& levels, const void* b, void* x, const StepsAhead& to, std::vector<double>& history) {
    constexpr double APART = 0.1;  // of a norm that steps were taken by: one so far off has the one before looked at
    const long batch = static_cast<long>(history.size());
    const auto there = std::make_unique<bool[]>(batch);
    history.reserve(batch * (std::min(to.most, 128L) + 1));
    auto is_there = [&](double norm, long k) { return norm == 0 || norm / to.size[k] <= to.tol; };
    auto goes_on = [&](const double* before, const double* now) {
        bool any = false;
        for (long k = 0; k < batch; k++) {
            if (is_there(now[k], k)) continue;
            if (!(now[k] <= to.enough * before[k])) return false;
            any = true;
        }
        return any;
    };
    for (long steps = 1; steps <= to.most; steps++) {
        history.resize((steps + 1) * batch);
        double *const now = &history[steps * batch], *const before = now - batch;
        for (long k = 0; k < batch; k++) there[k] = is_there(before[k], k);
        levels.step(b, batch, there.get(), now);
        if (steps < to.most && goes_on(before, now)) continue;
        bool apart = false;
        std::vector<double> anew(batch);
        levels.finish(b, x, batch, anew.data());
        for (long k = 0; k < batch; k++) apart |= !(std::abs(anew[k] - now[k]) <= APART * now[k]);
        std::copy(anew.begin(), anew.end(), now);
        if (apart && steps > 1) levels.before(b, nullptr, batch, before);
        if (!goes_on(before, now)) return;
    }
}

}  // namespace mgnet
