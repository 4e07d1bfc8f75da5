# docker build -t bids-gan .
#
# The default build of torch carries CUDA libraries of several GB. For a small CPU image pass the
# address of the CPU wheels that pytorch.org names: --build-arg PIP_EXTRA_INDEX_URL=...

FROM python:3.12.12-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/bids-gan
WORKDIR /source
# the dependencies make a layer of their own, which survives changes of the code
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY bids_gan/__init__.py bids_gan/__init__.py
RUN /opt/bids-gan/bin/pip install --constraint constraints.txt .
COPY MANIFEST.in CHANGES.md CITATION.cff ./
COPY bids_gan bids_gan
RUN /opt/bids-gan/bin/pip install --no-deps --force-reinstall . \
    && /opt/bids-gan/bin/python -m compileall -q /opt/bids-gan/lib
# one library writes a skeleton into its home at first import: here, not in the user's home
ENV TEMPLATEFLOW_HOME=/opt/templateflow TEMPLATEFLOW_AUTOUPDATE=off
RUN /opt/bids-gan/bin/python -c "import templateflow" && chmod -R a+rX /opt/templateflow

FROM python:3.12.12-slim-bookworm
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
USER bids
WORKDIR /tmp
ENTRYPOINT ["bids-gan"]
