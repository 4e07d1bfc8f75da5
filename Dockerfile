# docker build -t bids-gan --build-arg REVISION="$(git rev-parse HEAD)" .
#
# The default build of torch carries CUDA libraries of several GB, which run on a CPU as well. For a
# small CPU image, or for another version of CUDA, pass the address of the wheels that pytorch.org
# names:  --build-arg TORCH_INDEX_URL=...
#
# Every node, user and root folder will do: docker run --rm --network none --read-only \
#     --tmpfs /tmp --user "$(id -u):$(id -g)" -v BIDS_DIR:/data:ro -v OUTPUT_DIR:/out \
#     -v WORK_DIR:/work bids-gan /data /out participant --work-dir /work

# the tag says what it is, the digest that it stays so
ARG BASE_NAME=docker.io/library/python:3.12.12-slim-bookworm
ARG BASE_DIGEST=sha256:593bd06efe90efa80dc4eee3948be7c0fde4134606dd40d8dd8dbcade98e669c
ARG BASE=${BASE_NAME}@${BASE_DIGEST}

FROM ${BASE} AS build
ARG TORCH_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/bids-gan
WORKDIR /source
# the dependencies make a layer of their own, which survives changes of the code
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY bids_gan/__init__.py bids_gan/__init__.py
RUN PIP_EXTRA_INDEX_URL="$TORCH_INDEX_URL" \
    /opt/bids-gan/bin/pip install --constraint constraints.txt .
COPY MANIFEST.in CHANGES.md CITATION.cff ./
COPY bids_gan bids_gan
RUN /opt/bids-gan/bin/pip install --no-deps --force-reinstall .
# one library writes a skeleton into its home at first import: here, not in the user's home
ENV TEMPLATEFLOW_HOME=/opt/templateflow TEMPLATEFLOW_AUTOUPDATE=off
RUN /opt/bids-gan/bin/python -c "import templateflow" && chmod -R a+rX /opt/templateflow
# what the image is made of; nothing of Debian's is added after this stage
COPY container/sbom.py container/sbom.py
RUN /opt/bids-gan/bin/python container/sbom.py > /opt/bids-gan/sbom.cdx.json
# the label below says what is installed
ARG VERSION=0.1.0
RUN test "$(/opt/bids-gan/bin/bids-gan --version)" = "bids-gan $VERSION"

FROM ${BASE}
ARG BASE_NAME BASE_DIGEST
ARG VERSION=0.1.0
# commit, and where the source can be had: whoever publishes the image knows
ARG REVISION="" SOURCE=""
LABEL org.opencontainers.image.title="bids-gan" \
      org.opencontainers.image.description="BIDS-App: missing MRI contrasts by 3D generators, EPI distortion correction with them" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.base.name="$BASE_NAME" \
      org.opencontainers.image.base.digest="$BASE_DIGEST"
COPY --from=build /opt/bids-gan /opt/bids-gan
COPY --from=build /opt/templateflow /opt/templateflow
# nothing is fetched or reported at run time
ENV PATH=/opt/bids-gan/bin:$PATH \
    TEMPLATEFLOW_HOME=/opt/templateflow \
    TEMPLATEFLOW_AUTOUPDATE=off \
    NO_ET=1 \
    NIPYPE_NO_ET=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_WAIT_POLICY=passive
RUN useradd --create-home --uid 1000 bids
USER 1000
WORKDIR /tmp
ENTRYPOINT ["bids-gan"]
