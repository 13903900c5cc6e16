# A CPU image with the pinned versions:
#   docker build -t meta_rl .
#   docker run --rm -v "$PWD/runs:/work/runs" meta_rl train --config fomaml_point_mass
# For a GPU build with --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128, say, and run with --gpus all.
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Git tells run.json the commit; EGL draws robots without a screen.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libegl1 libgl1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
RUN pip install --no-cache-dir "$(grep ^torch== requirements.txt)" --index-url "$TORCH_INDEX" \
    && grep -v "^-e" requirements.txt > /tmp/pinned.txt \
    && pip install --no-cache-dir -r /tmp/pinned.txt \
    && pip install --no-cache-dir --no-deps .

WORKDIR /work
ENV MUJOCO_GL=egl WANDB_MODE=offline
ENTRYPOINT ["meta-rl"]
CMD ["--help"]
