// From what is given at the unknowns, or on faces, to what couples unknowns: where all of it is plain numbers, in a pass.
#pragma once
#include <vector>

namespace mgnet {

// (n0, n1, n2) numbers, or broadcastable to it: a step of 0 along an axis where nothing changes
template <class T>
struct Spread {
    const T* v = nullptr;
    long step[3] = {};
    T operator()(const long i[3]) const { return v[i[0] * step[0] + i[1] * step[1] + i[2] * step[2]]; }
};

// The faces of an axis, on which something flows.
struct Flow {
    long faces[3];      // numbers of back and forth along each axis
    int axis;
    bool wraps, upwind, at_unknowns;  // whether v is given there, and a face has the mean of its neighbours
    double h;
    double near[2];     // where the ends' faces lie between both sides of them: problem/velocity.py
    double through[2];  // how much of u there is the unknown's
};

// back and forth of problem/convection.py, of k on the faces and v; false where that is not finite
template <class T>
bool flows(const Spread<T>& k, const Spread<T>& v, const Flow& flow, T* back, T* forth, int threads);

// A grid of two or three axes, the ends of which hold corners by so much.
struct Corners {
    int dims;
    long n[3];
    bool wraps[3];
    double h[3], held[3][2];
};

// s of problem/tensor.py on the corners of each pair of axes, of the tensor's entries (00, 01, [02,] 11, [12, 22]) at the
// unknowns; false where it is not positive definite
template <class T>
bool corners(const std::vector<Spread<T>>& a, const Corners& of, const std::vector<T*>& s, int threads);

}  // namespace mgnet
