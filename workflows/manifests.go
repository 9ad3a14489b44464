package workflows

import (
	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// manifestsKept is how many compiled manifests a worker keeps.
const manifestsKept = 64

// compileManifest compiles the manifest of a rollout that its history has pinned.
// EINVALID if this engine cannot.
//
// The compiler is a pure function, as with compile.
//
//workflowcheck:ignore
func compileManifest(source string) (spec *deviceops.RolloutSpec, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			spec, err = nil, deviceops.Errorf(deviceops.EINTERNAL, "the compiler failed: %v", fault)
		}
	}()
	spec, found := dsl.CompileRollout("rollout.yaml", source, dsl.Options{})
	if err := found.Err(); err != nil {
		return nil, err
	}
	if spec == nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the source holds no rollout")
	}
	return spec, nil
}
