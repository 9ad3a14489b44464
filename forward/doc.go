// Package forward carries events to other systems as published routes say.
//
// Each target of each route has a place of its own in the stream of events, kept
// in the store, and is held by one process at a time. The process reads a page of
// events after that place, shapes and delivers them, and moves the place on; so an
// event is delivered at least once, and whoever takes over goes on where the last
// one was. Targets share nothing: one that is slow or dead delays no other.
package forward
