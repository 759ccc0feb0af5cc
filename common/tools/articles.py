"""The five articles that the suite re-implements, and what they point their readers to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Article:
    id: str
    title: str
    author: str
    frameworks: str  # the article's own
    data: str = "mnist"  # that its models are trained on
    of: str = ""  # the article that points to what is reproduced here


ARTICLES = {
    article.id: article
    for article in (
        Article("autoencoders", "深度学习自动编码器还能用于数据生成？这篇文章告诉你答案", "Liao Xingyu", "PyTorch"),
        Article(
            "vae_notes", "变分自编码器记录与tensorflow代码及pytorch代码分析", "CSDN, 2018-05-13", "TensorFlow, PyTorch"
        ),
        Article("gan", "GAN入门实践", "Mo", "PyTorch"),
        Article("aae", "PyTorch实现对抗自编码器", "专知", "PyTorch"),
        Article("infogan", "InfoGAN：一种无监督生成方法 | 经典论文复现", "Huang Tao", "PaddlePaddle"),
        Article("vae_gan", "VAE-GAN next to a VAE", "Larsen et al. 2015", "Theano, by deeppy", of="autoencoders"),
        Article("infogan_streets", "InfoGAN on street numbers", "Chen et al. 2016", "TensorFlow", "streets", "infogan"),
        Article("infogan_heads", "InfoGAN on 3-D heads", "Chen et al. 2016", "TensorFlow", "heads", "infogan"),
        Article("infogan_chairs", "InfoGAN on 3-D chairs", "Chen et al. 2016", "TensorFlow", "chairs", "infogan"),
    )
}
