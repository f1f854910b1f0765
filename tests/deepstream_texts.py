"""Files of DeepStream that several tests write."""

NVDSPREPROCESS = """[property]
target-unique-ids=4
network-input-order=0
network-input-shape=8;3;16;16
processing-width=16
processing-height=16
network-color-format=0
tensor-data-type=0
tensor-name=images
scaling-filter=1
scaling-pool-memory-type=0
custom-lib-path=lib.so
custom-tensor-preparation-function=CustomTensorPreparation
{more}
[user-configs]
pixel-normalization-factor=0.00392156862745098
{user}
"""
WHOLE_FRAMES = """[group-0]
src-ids=0
process-on-roi=0
"""
