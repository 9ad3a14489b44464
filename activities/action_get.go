package activities

import "context"

// getDevice gives what is known about the step's device now.
type getDevice struct{}

func (*getDevice) perform(ctx context.Context, d Deps, in ActionInput) (ActionOutput, error) {
	device, err := in.target(ctx, d)
	if err != nil {
		return ActionOutput{}, err
	}
	return ActionOutput{Device: &device}, nil
}
