"""What computes towers: a file per backend, and what they share.

    ort, openvino                    processors, from ONNX files
    tensorrt, tensorrt_build         NVIDIA GPUs, from engine files, which are built from ONNX
    torch_cuda                       NVIDIA GPUs, from the torch module
    reference                        torch as it is, which all others are compared with
    batches, graphs, cuda, nvidia    batch sizes, CUDA graphs, memory and GPUs
    onnx_files, onnx_precision, quantised, engine_files    files: whose they are, in which arithmetic

`encoders.backends` chooses among them, `encoders.engines` keeps what they build.
"""
