# melanoma_pl in a container, as an ordinary user: docs/cluster.md#containers
#
#   docker build --tag melanoma_pl .
#   docker run --rm --volume "$PWD":/work melanoma_pl
#
# The default build of PyTorch computes on CPUs and on NVIDIA GPUs (docker run --gpus all). With --build-arg TORCH_INDEX=<the
# index of CPU builds that PyTorch's page on installation names>, the image has no CUDA and is several gigabytes smaller.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

ARG TORCH_INDEX=""
ARG EXTRAS="app,export,pretrained,optuna,parallel"
ARG USER_ID=1000

ENV PATH="/opt/melanoma_pl/bin:$PATH" PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/melanoma_pl
WORKDIR /source
COPY constraints.txt .
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --constraint constraints.txt torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY src src
RUN pip install --constraint constraints.txt ".[$EXTRAS]"

# An ordinary user, or any other one that docker run --user names: the home folder is open to all, for caches.
RUN useradd --create-home --uid "$USER_ID" melanoma && chmod 1777 /home/melanoma && install --directory --owner melanoma /work
ENV HOME=/home/melanoma
USER melanoma
WORKDIR /work
CMD ["python", "-m", "melanoma_pl.demo"]
